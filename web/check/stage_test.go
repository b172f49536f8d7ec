package check

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"sluice/client"
)

var (
	shots      = flag.String("shots", "", "folder for a picture of every page that is checked; none when empty")
	withoutAxe = flag.Bool("without-axe", false, "do not look at the pages with axe-core, which npm has to fetch")
)

// patience is how long anything may take that has to happen; it decides nothing else.
const patience = 30 * time.Second

// house is the Sluice that all journeys go to.
var house *sluice

// admin is the address of somebody who is an administrator here.
const admin = "admin@example.com"

// sluice is the whole of it in one process, with private servers.
type sluice struct {
	folder, program, url, ops string
	process                   *os.Process
	gone                      chan struct{} // closed: the process has ended
}

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(func() int {
		var err error
		if house, err = build(); err == nil {
			defer house.remove()
			err = errors.Join(house.hire(admin), house.start(), openBrowser())
			if !*withoutAxe {
				err = errors.Join(err, readAxe())
			}
			defer closeBrowser()
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		return m.Run()
	}())
}

// build builds the program into a folder that Postgres' own user may enter.
func build() (s *sluice, err error) {
	s = &sluice{}
	if s.folder, err = os.MkdirTemp("", "sluice-web-*"); err != nil {
		return nil, err
	}
	if err := os.Chmod(s.folder, 0o755); err != nil {
		return nil, err
	}
	s.program = filepath.Join(s.folder, "sluice")
	cmd := exec.Command("go", "build", "-buildvcs=false", "-o", s.program, "./cmd/sluice")
	cmd.Dir = filepath.Join("..", "..")
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, errors.Join(fmt.Errorf("build Sluice: %w\n%s", err, out), os.RemoveAll(s.folder))
	}
	return s, nil
}

func (s *sluice) remove() {
	s.end(syscall.SIGTERM)
	os.RemoveAll(s.folder)
}

// start starts it, at the address that it had, and returns when it is ready.
func (s *sluice) start() (err error) {
	if s.url == "" {
		listen, err := freeAddress()
		if err != nil {
			return err
		}
		if s.ops, err = freeAddress(); err != nil {
			return err
		}
		s.url = "http://" + listen
	}
	log, err := os.OpenFile(s.log(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command(s.program, "up")
	cmd.Env = append(s.environment(), "SLUICE_SHUTDOWN_GRACE=3s", "SLUICE_TRUSTED_PROXIES=127.0.0.1",
		"SLUICE_LISTEN="+strings.TrimPrefix(s.url, "http://"), "SLUICE_OPS_LISTEN="+s.ops)
	cmd.Stdout, cmd.Stderr, cmd.SysProcAttr = log, log, attributes()
	if err := s.spawn(cmd); err != nil {
		return fmt.Errorf("start Sluice: %w", err)
	}
	return s.ready()
}

// environment is what every command here is given, without settings that somebody left there.
func (s *sluice) environment() (kept []string) {
	for _, variable := range os.Environ() {
		if !strings.HasPrefix(variable, "SLUICE_") {
			kept = append(kept, variable)
		}
	}
	return append(kept, "SLUICE_DATA_DIR="+filepath.Join(s.folder, "data"), "SLUICE_PARTITIONS=4")
}

// hire makes the account of an administrator, before anybody else works here.
func (s *sluice) hire(email string) error {
	cmd := exec.Command(s.program, "admin", "create", "--email="+email)
	cmd.Env = append(s.environment(), "SLUICE_ADMIN_PASSWORD="+password)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("make an administrator: %w\n%s", err, out)
	}
	return nil
}

func (s *sluice) log() string { return filepath.Join(s.folder, "log") }

// spawn starts a process in a thread that outlives it: the kernel kills the process when
// the thread that started it ends.
func (s *sluice) spawn(cmd *exec.Cmd) error {
	gone, started := make(chan struct{}), make(chan error)
	go func() {
		runtime.LockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait() // how it ended is in its log
			close(gone)
		}
	}()
	if err := <-started; err != nil {
		return err
	}
	s.process, s.gone = cmd.Process, gone
	return nil
}

func (s *sluice) ready() error {
	probe := &http.Client{Timeout: 5 * time.Second}
	for end := time.Now().Add(2 * patience); ; time.Sleep(50 * time.Millisecond) {
		answer, err := probe.Get("http://" + s.ops + "/readyz")
		if err == nil {
			answer.Body.Close()
			if answer.StatusCode == http.StatusOK {
				return nil
			}
			err = errors.New(answer.Status)
		}
		select {
		case <-s.gone:
			return fmt.Errorf("Sluice has ended:\n%s", s.said())
		default:
		}
		if time.Now().After(end) {
			return fmt.Errorf("Sluice is not ready: %w\n%s", err, s.said())
		}
	}
}

// end ends the process by a signal, and waits until it is gone.
func (s *sluice) end(by syscall.Signal) {
	if s.process == nil {
		return
	}
	_ = s.process.Signal(by) // it may be gone already
	select {
	case <-s.gone:
	case <-time.After(patience):
		_ = s.process.Kill()
		<-s.gone
	}
	s.process = nil
}

// said is the end of its log.
func (s *sluice) said() string {
	text, err := os.ReadFile(s.log())
	if err != nil {
		return err.Error()
	}
	return string(text[max(len(text)-3000, 0):])
}

// anew is a client that nobody has signed in with.
func (s *sluice) anew() (*client.Client, error) {
	return client.New(s.url, client.WithHTTPClient(&http.Client{Transport: from(address())}))
}

// from sends requests from an address, as a proxy tells it.
type from string

func (f from) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("X-Forwarded-For", string(f))
	return http.DefaultTransport.RoundTrip(r)
}

// address is somebody's own: few may sign up from one.
func address() string {
	return fmt.Sprintf("10.%d.%d.%d", rand.IntN(256), rand.IntN(256), 1+rand.IntN(250))
}

// freeAddress is a loopback address on which nobody listens. Its port lies below those from
// which the kernel serves outgoing connections, so that whoever starts again finds it free.
func freeAddress() (string, error) {
	for range 1000 {
		address := fmt.Sprintf("127.0.0.1:%d", 22000+rand.IntN(10000))
		l, err := net.Listen("tcp", address)
		if err != nil {
			continue
		}
		return address, l.Close()
	}
	return "", errors.New("no port is free")
}

// within is a context for one step of a journey.
func within(t testing.TB) (context.Context, context.CancelFunc) {
	return context.WithTimeout(t.Context(), patience)
}
