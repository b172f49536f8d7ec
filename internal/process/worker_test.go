package process

import (
	"net"
	"os"
	"reflect"
	"testing"

	"github.com/alecthomas/kong"
)

// TestDetours: who has a detour is reached by it, everybody else where he is.
func TestDetours(t *testing.T) {
	var listeners [2]net.Listener
	for i := range listeners {
		var err error
		if listeners[i], err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
			t.Fatal(err)
		}
		defer listeners[i].Close()
	}
	far, near := listeners[0].Addr().String(), listeners[1].Addr().String()
	var line struct {
		Worker Worker `cmd:""`
	}
	args := os.Args
	defer func() { os.Args = args }()
	os.Args = []string{"any", "worker", "api", "--detour", far + "=" + near, "--detour", "10.0.0.1:1=10.0.0.2:2"}
	Parse(&line, "any", "", kong.Vars{"ops_listen": "", "log_level": "warn", "log_format": "json", "given": "", "keys": ""})
	if want := (Detours{far: near, "10.0.0.1:1": "10.0.0.2:2"}); !reflect.DeepEqual(line.Worker.Detour, want) {
		t.Errorf("understood %v", line.Worker.Detour)
	}
	for to, want := range map[string]string{far: near, near: near} {
		conn, err := line.Worker.Detour.dial(t.Context(), "tcp", to)
		if err != nil {
			t.Fatal(err)
		}
		if got := conn.RemoteAddr().String(); got != want {
			t.Errorf("%s is reached at %s, want %s", to, got, want)
		}
		conn.Close()
	}
}
