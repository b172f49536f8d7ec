package process

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"

	"go.uber.org/goleak"
)

// diary notes what happens in which order.
type diary struct {
	mu    sync.Mutex
	lines []string
}

func (d *diary) note(line string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.lines = append(d.lines, line)
}

// until is a loop that works until it is asked to stop.
func (d *diary) until(name string, err error) func(context.Context) error {
	return func(ctx context.Context) error {
		<-ctx.Done()
		d.note(name)
		return err
	}
}

func TestTogetherStopsInOrder(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	for range 100 {
		ctx, end := context.WithCancel(t.Context())
		d := &diary{}
		api := func(loop context.Context) error {
			<-loop.Done()
			if d.note("api asked"); len(d.lines) != 1 {
				return errors.New("others were asked before")
			}
			d.note("api ended")
			return loop.Err() // that it was asked to stop is no error
		}
		go end()
		if err := Together(ctx, api, d.until("consumer", nil), d.until("scheduler", nil)); err != nil {
			t.Fatal(err)
		}
		if want := []string{"api asked", "api ended", "consumer", "scheduler"}; !slices.Equal(d.lines, want) {
			t.Fatalf("got %q", d.lines)
		}
	}
}

func TestTogetherEndsWithTheFirst(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	broke, later := errors.New("broke"), errors.New("later")
	fails := func(err error) func(context.Context) error {
		return func(context.Context) error { return err }
	}
	for name, test := range map[string]struct {
		first func(context.Context) error
		other error
		want  error
	}{
		"an error":              {fails(broke), later, broke},
		"an end":                {fails(nil), nil, nil},
		"an end, then an error": {fails(nil), later, later},
	} {
		t.Run(name, func(t *testing.T) {
			d := &diary{}
			if err := Together(t.Context(), d.until("a", test.other), test.first, d.until("b", nil)); err != test.want {
				t.Errorf("got %v, want %v", err, test.want)
			}
			if !slices.Equal(d.lines, []string{"a", "b"}) {
				t.Errorf("got %q", d.lines)
			}
		})
	}
}

func TestListenOnABusyPort(t *testing.T) {
	l, err := Listen(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if _, err := Listen(t.Context(), l.Addr().String()); !errors.Is(err, ErrPortBusy) {
		t.Errorf("got %v", err)
	}
}
