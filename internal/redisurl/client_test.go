package redisurl

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

func TestClientIsOfTheKind(t *testing.T) {
	for address, want := range map[string]string{
		"redis://a:1/2":            "*redis.Client",
		"redis+sentinel://a:1/q/2": "*redis.Client",
		"redis+cluster://a:1":      "*redis.ClusterClient",
	} {
		target, err := Parse(address)
		if err != nil {
			t.Fatal(err)
		}
		c := target.Client(func(o *redis.UniversalOptions) { o.PoolSize = 3 })
		if got := fmt.Sprintf("%T", c); got != want {
			t.Errorf("%s makes a %s", address, got)
		}
		if c, ok := c.(*redis.Client); ok && (c.Options().PoolSize != 3 || c.Options().DB != 2) {
			t.Errorf("%s makes a client of %d connections to database %d", address, c.Options().PoolSize, c.Options().DB)
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestURLOptionsHold: what a URL of one server says to the driver holds as ever, unless
// who connects wants it otherwise.
func TestURLOptionsHold(t *testing.T) {
	target, err := Parse("redis://u:p@a:1/2?pool_size=7&read_timeout=3s&client_name=x")
	if err != nil {
		t.Fatal(err)
	}
	c := target.Client(func(o *redis.UniversalOptions) { o.ReadTimeout = time.Minute }).(*redis.Client)
	defer c.Close()
	if o := c.Options(); o.PoolSize != 7 || o.ReadTimeout != time.Minute || o.ClientName != "x" || o.Username != "u" || o.Password != "p" || o.Addr != "a:1" {
		t.Errorf("the client has %+v", o)
	}
}

// TestDialIsUsed: every kind goes through Dial, to the servers and to the Sentinels.
func TestDialIsUsed(t *testing.T) {
	for address, first := range map[string]string{
		"redis://one:1":            "one:1",
		"redis+sentinel://two:2/q": "two:2",
		"redis+cluster://three:3":  "three:3",
	} {
		target, err := Parse(address)
		if err != nil {
			t.Fatal(err)
		}
		dialed := make(chan string, 100)
		target.Dial = func(_ context.Context, _, addr string) (net.Conn, error) {
			select {
			case dialed <- addr:
			default:
			}
			return nil, fmt.Errorf("nobody is at %s", addr)
		}
		c := target.Client(func(o *redis.UniversalOptions) { o.MaxRetries, o.MaxRedirects, o.DialerRetries = -1, -1, 1 })
		if err := c.Ping(t.Context()).Err(); err == nil {
			t.Errorf("%s answers", address)
		}
		if got := <-dialed; got != first {
			t.Errorf("%s dials %s first", address, got)
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestMasterNow asks one Sentinel after the other.
func TestMasterNow(t *testing.T) {
	target, err := Parse("redis+sentinel://gone:1,there:2/queue")
	if err != nil {
		t.Fatal(err)
	}
	sentinel, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan struct{})
	go func() {
		defer close(served)
		serve(sentinel)
	}()
	defer func() {
		sentinel.Close()
		<-served
	}()
	target.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
		if addr != "there:2" {
			return nil, fmt.Errorf("nobody is at %s", addr)
		}
		return new(net.Dialer).DialContext(ctx, network, sentinel.Addr().String())
	}
	got, err := target.MasterNow(t.Context(), func(o *redis.UniversalOptions) { o.MaxRetries, o.DialerRetries = -1, 1 })
	if err != nil || got != "10.0.0.9:6379" {
		t.Errorf("the master is at %q (%v)", got, err)
	}
}

// serve is a Sentinel that knows two words: it refuses the first, a greeting, and answers
// the other.
func serve(l net.Listener) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		for lines := bufio.NewScanner(conn); lines.Scan(); {
			switch lines.Text() {
			case "hello":
				fmt.Fprint(conn, "-ERR unknown command\r\n")
			case "queue":
				fmt.Fprint(conn, "*2\r\n$8\r\n10.0.0.9\r\n$4\r\n6379\r\n")
			}
		}
		conn.Close()
	}
}
