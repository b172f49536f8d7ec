package lookout

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// The sequences of a terminal: a screen of its own, which leaves the one before as it was.
const (
	enter  = "\x1b[?1049h\x1b[?25l"
	leave  = "\x1b[?25h\x1b[?1049l"
	home   = "\x1b[H"
	toEnd  = "\x1b[K" // of the line: clear
	toLast = "\x1b[J" // of the screen
)

// wide is the width of a page that no terminal bounds.
const wide = 120

// Top is the view that renews itself.
type Top struct {
	Client *http.Client
	URLs   []string
	Every  time.Duration // between two looks
	Once   bool          // one page, of what two looks tell
	Plain  bool          // page after page, as for a file
	Color  bool
	Out    *os.File
}

// Run shows pages until ctx ends.
func (t Top) Run(ctx context.Context) (err error) {
	resized := make(chan os.Signal, 1)
	page := func() Page { return Page{Width: wide} }
	if !t.Plain && !t.Once {
		page = func() Page { return bounds(t.Out, t.Color) }
		signal.Notify(resized, syscall.SIGWINCH)
		defer signal.Stop(resized)
		if _, err := io.WriteString(t.Out, enter); err != nil {
			return err
		}
		defer io.WriteString(t.Out, leave)
	}
	before := Ask(ctx, t.Client, t.URLs)
	facts := Look(Round{}, before)
	tick := time.NewTicker(t.Every)
	defer tick.Stop()
	for first := true; ctx.Err() == nil; first = false {
		if !first || !t.Once {
			if err := t.show(facts.Draw(page())); err != nil {
				return err
			}
		}
		if !first && t.Once {
			return nil
		}
		select {
		case <-ctx.Done():
		case <-resized: // the same facts, in another frame
		case <-tick.C:
			now := Ask(ctx, t.Client, t.URLs)
			facts, before = Look(before, now), now
		}
	}
	return nil
}

func (t Top) show(lines []string) error {
	var out strings.Builder
	if t.Plain || t.Once {
		out.WriteString(strings.Join(lines, "\n") + "\n")
		if !t.Once {
			out.WriteString("\n")
		}
	} else {
		out.WriteString(home)
		out.WriteString(strings.Join(lines, toEnd+"\r\n"))
		out.WriteString(toEnd + toLast)
	}
	_, err := io.WriteString(t.Out, out.String())
	return err
}

// bounds is the page that a terminal has room for.
func bounds(f *os.File, color bool) Page {
	size, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ)
	if err != nil || size.Col == 0 || size.Row == 0 {
		return Page{Width: 80, Height: 24, Color: color}
	}
	return Page{Width: int(size.Col), Height: int(size.Row), Color: color}
}

// Report is the facts in words, for a person: every check, then the page.
func (f Facts) Report(w io.Writer) error {
	for _, c := range f.Checks {
		mark := unknown
		if c.OK != nil {
			mark = map[bool]string{true: "ok", false: "WRONG"}[*c.OK]
		}
		if _, err := fmt.Fprintf(w, "%-6s %-18s %s\n", mark, c.Name, c.Detail); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintln(w, f.Status)
	return err
}
