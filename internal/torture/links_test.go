package torture

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// echo is a server that says back what it is told, line by line.
type echo struct {
	net.Listener
	heard atomic.Int64 // lines
}

func newEcho(t *testing.T) *echo {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	e := &echo{Listener: l}
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				for lines := bufio.NewScanner(conn); lines.Scan(); {
					e.heard.Add(1)
					if _, err := fmt.Fprintln(conn, lines.Text()); err != nil {
						return
					}
				}
			}()
		}
	}()
	t.Cleanup(func() { l.Close() })
	return e
}

// caller is a connection through a link.
type caller struct {
	net.Conn
	answers *bufio.Reader
}

func call(t *testing.T, l *link) caller {
	t.Helper()
	conn, err := net.Dial("tcp", l.address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return caller{conn, bufio.NewReader(conn)}
}

// ask says something and answers what comes back within the time.
func (c caller) ask(text string, within time.Duration) (string, error) {
	if err := c.SetDeadline(time.Now().Add(within)); err != nil {
		return "", err
	}
	if _, err := fmt.Fprintln(c, text); err != nil {
		return "", err
	}
	answer, err := c.answers.ReadString('\n')
	return strings.TrimSuffix(answer, "\n"), err
}

// TestLinks: each fault of a link does what its name says for as long as it lasts, and
// nothing of it is left afterwards.
func TestLinks(t *testing.T) {
	server := newEcho(t)
	all := newLinks()
	defer all.close()
	l, err := all.lay("line", server.Addr().String(), new(trouble))
	if err != nil {
		t.Fatal(err)
	}
	well := func(what string) {
		t.Helper()
		if answer, err := call(t, l).ask("well", lifetime); answer != "well" || err != nil {
			t.Fatalf("%s: %q, %v", what, answer, err)
		}
	}
	during := func(toxics []toxic, meanwhile func(open caller)) {
		t.Helper()
		open := call(t, l)
		if answer, err := open.ask("hello", lifetime); answer != "hello" || err != nil {
			t.Fatalf("%q, %v", answer, err)
		}
		done, err := l.suffer(toxics, func() { meanwhile(open) })
		if !done || err != nil {
			t.Fatalf("%+v: done %t, %v", toxics, done, err)
		}
		well("healed")
	}
	toxics := func(kind string, ways int) []toxic {
		for seed := uint64(0); ; seed++ {
			if found := toxicsOf(rand.New(rand.NewPCG(seed, 1)), kind); len(found) == ways && found[0].Stream == "upstream" {
				return found
			}
		}
	}

	well("new")
	slow := toxics(slowLink, 2)
	during(slow, func(open caller) {
		for _, c := range []caller{open, call(t, l)} {
			began := time.Now()
			if answer, err := c.ask("slow", lifetime); answer != "slow" || err != nil {
				t.Errorf("%q, %v", answer, err)
			}
			least := 2 * time.Duration(slow[0].Attributes["latency"]-slow[0].Attributes["jitter"]) * time.Millisecond
			if took := time.Since(began); took < least {
				t.Errorf("slow, and answered after %s, not %s", took, least)
			}
		}
		if !l.trouble.fresh() || l.trouble.now.Load() != 1 {
			t.Error("nobody knows of the trouble")
		}
		if done, err := l.suffer(slow, func() {}); done || err != nil {
			t.Errorf("two illnesses at once: %v", err)
		}
	})
	trickle := toxics(trickleLink, 2)
	during(trickle, func(open caller) {
		began, text := time.Now(), strings.Repeat("drop by drop ", 500)
		defer func() {
			of := trickle[0].Attributes
			least := time.Duration(int64(len(text))/(of["average_size"]+of["size_variation"])*of["delay"]) * time.Microsecond
			if took := time.Since(began); took < least {
				t.Errorf("it trickled for %s, not %s", took, least)
			}
		}()
		if answer, err := open.ask(text, lifetime); answer != text || err != nil {
			t.Errorf("%d bytes of %d, %v", len(answer), len(text), err)
		}
	})
	during(toxics(resetLink, 2), func(open caller) {
		for _, c := range []caller{open, call(t, l)} {
			if answer, err := c.ask("reset", lifetime); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("answered %q, %v", answer, err)
			}
		}
	})
	for _, ways := range []int{1, 2} {
		during(toxics(blackhole, ways), func(open caller) {
			heard := server.heard.Load()
			for _, c := range []caller{open, call(t, l)} {
				if answer, err := c.ask("anybody?", 300*time.Millisecond); !errors.Is(err, os.ErrDeadlineExceeded) {
					t.Errorf("answered %q, %v", answer, err)
				}
			}
			if server.heard.Load() != heard {
				t.Error("it was heard through the hole")
			}
		})
	}
	during([]toxic{{Type: "timeout", Stream: "downstream", Name: "deaf", Attributes: map[string]int64{"timeout": 0}}}, func(open caller) {
		heard := server.heard.Load()
		if answer, err := open.ask("do it, and tell nobody", 300*time.Millisecond); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("answered %q, %v", answer, err)
		}
		until(t, "it is done", func() bool { return server.heard.Load() > heard })
	})
	if l.trouble.now.Load() != 0 {
		t.Error("the trouble is not over")
	}
}

// TestLinksLeaveNothing: when all are closed no port is taken, no connection open, and
// nobody is left in the proxy.
func TestLinksLeaveNothing(t *testing.T) {
	before := inProxy() // of a test before this one, on their way out
	server := newEcho(t)
	all := newLinks()
	l, err := all.lay("line", server.Addr().String(), new(trouble))
	if err != nil {
		t.Fatal(err)
	}
	open := call(t, l)
	if _, err := open.ask("hello", lifetime); err != nil {
		t.Fatal(err)
	}
	all.close()
	if _, err := open.ask("still there?", lifetime); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the connection is open: %v", err)
	}
	again, err := net.Listen("tcp", l.address)
	if err != nil {
		t.Errorf("the port is taken: %v", err)
	} else {
		again.Close()
	}
	until(t, "everybody leaves the proxy", func() bool {
		for one := range inProxy() {
			if !before[one] {
				return false
			}
		}
		return true
	})
}

// inProxy answers the numbers of those goroutines that are in the proxy.
func inProxy() map[string]bool {
	stacks, in := make([]byte, 1<<22), map[string]bool{}
	for one := range strings.SplitSeq(string(stacks[:runtime.Stack(stacks, true)]), "\n\n") {
		if strings.Contains(one, "toxiproxy/v2.") {
			number, _, _ := strings.Cut(one, " [")
			in[number] = true
		}
	}
	return in
}

// TestLinkThatCannotHeal: a link whose illness cannot be taken off again is an error,
// not a wrong of the deployment.
func TestLinkThatCannotHeal(t *testing.T) {
	all := newLinks()
	defer all.close()
	l, err := all.lay("line", newEcho(t).Addr().String(), new(trouble))
	if err != nil {
		t.Fatal(err)
	}
	hole := []toxic{{Type: "timeout", Stream: "upstream", Name: "hole"}}
	done, err := l.suffer(hole, func() {
		if err := l.remove(hole); err != nil {
			t.Error(err)
		}
	})
	if done || err == nil {
		t.Errorf("done %t, %v", done, err)
	}
	if done, err := l.suffer([]toxic{{Type: "no such thing", Stream: "upstream"}}, func() { t.Error("it went on") }); done || err != nil {
		t.Errorf("touched again: %t, %v", done, err)
	}
	if _, err := io.WriteString(call(t, l), "hello\n"); err != nil {
		t.Error(err)
	}
}
