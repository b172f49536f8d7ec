package lookout

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// terminal opens a pseudo terminal of a size: what is written into it can be read from
// master.
func terminal(t *testing.T, rows, cols uint16) (master, slave *os.File) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { master.Close() })
	if err := unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	number, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	if slave, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { slave.Close() })
	resize(t, slave, rows, cols)
	return master, slave
}

func resize(t *testing.T, f *os.File, rows, cols uint16) {
	t.Helper()
	if err := unix.IoctlSetWinsize(int(f.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: rows, Col: cols}); err != nil {
		t.Fatal(err)
	}
}

// TestResizing: a page fills the terminal as it is, and is drawn anew at once when that
// changes, long before the next look.
func TestResizing(t *testing.T) {
	s := demoStation(t)
	master, slave := terminal(t, 10, 40)
	pages := make(chan string, 100)
	go func() {
		var text strings.Builder
		buffer := make([]byte, 64<<10)
		for {
			n, err := master.Read(buffer)
			if err != nil { // the other side is closed
				close(pages)
				return
			}
			text.Write(buffer[:n])
			for {
				page, rest, whole := strings.Cut(text.String(), toLast)
				if !whole {
					break
				}
				text.Reset()
				text.WriteString(rest)
				_, page, _ = strings.Cut(page, home)
				pages <- page
			}
		}
	}()
	fits := func(rows, cols int) {
		t.Helper()
		for deadline := time.After(30 * time.Second); ; {
			select {
			case page := <-pages:
				lines := strings.Split(strings.ReplaceAll(page, toEnd, ""), "\r\n")
				widest := 0
				for _, l := range lines {
					widest = max(widest, len([]rune(strings.TrimRight(l, "\r"))))
				}
				if len(lines) == rows && widest == cols {
					return
				}
			case <-deadline:
				t.Fatalf("no page of %d lines and %d columns", rows, cols)
			}
		}
	}
	ended := make(chan error, 1)
	go func() {
		ended <- Top{Client: s.Client(), URLs: []string{s.URL}, Every: time.Hour, Out: slave}.Run(t.Context())
	}()
	fits(10, 40)
	resize(t, slave, 14, 50)
	if err := unix.Kill(os.Getpid(), unix.SIGWINCH); err != nil {
		t.Fatal(err)
	}
	fits(14, 50)
	s.Client().CloseIdleConnections()
	t.Cleanup(func() { // the test's context has ended
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}
