package lookout

import (
	"context"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"
)

// running runs a view into a pipe, and answers what it has written when it has said until,
// was asked to end, and has ended.
func running(t *testing.T, top Top, until string) string {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	top.Out, top.Client = w, &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	ended := make(chan error, 1)
	go func() {
		err := top.Run(ctx)
		w.Close()
		ended <- err
	}()
	var text strings.Builder
	for buffer := make([]byte, 64<<10); ; {
		n, err := r.Read(buffer)
		text.Write(buffer[:n])
		if strings.Contains(text.String(), until) {
			stop()
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
	return text.String()
}

// demoStation is a process that says the same for ever.
func demoStation(t *testing.T) *station {
	return speaking(t, recorded(t, "demo-1.prom")+audited, moment)
}

// TestScreenIsLeftAsItWas: it has a screen of its own, renews it in place, and gives the
// other one back, cursor and all, when it is interrupted.
func TestScreenIsLeftAsItWas(t *testing.T) {
	s := demoStation(t)
	text := running(t, Top{URLs: []string{s.URL}, Every: 10 * time.Millisecond}, "accepted 0/s") // the second page
	if !strings.HasPrefix(text, enter+home) || !strings.HasSuffix(text, leave) {
		t.Errorf("it begins %.20q and ends %q", text, text[max(len(text)-20, 0):])
	}
	if n := strings.Count(text, home); n < 2 || strings.Count(text, toEnd+toLast) != n {
		t.Errorf("%d pages, %d of them complete", n, strings.Count(text, toEnd+toLast))
	}
	for _, page := range strings.Split(text, home)[1:] {
		if n := strings.Count(page, "\r\n") + 1; n > 24 {
			t.Errorf("a page of %d lines scrolls a terminal of 24", n)
		}
	}
	if strings.Contains(text, "\x1b[1m") || strings.Contains(text, "\x1b[32m") {
		t.Error("colours that nobody asked for")
	}
	if text = running(t, Top{URLs: []string{s.URL}, Every: 10 * time.Millisecond, Color: true}, "accepted 0/s"); !strings.Contains(text, "\x1b[32m") {
		t.Error("no colours")
	}
}

// TestPlainPages: no sequence of a terminal, page after page, or one.
func TestPlainPages(t *testing.T) {
	s := demoStation(t)
	text := running(t, Top{URLs: []string{s.URL}, Every: 10 * time.Millisecond, Plain: true}, "accepted 0/s")
	if n := strings.Count(text, "Sluice  HEALTHY"); n < 2 || strings.Contains(text, "\x1b") {
		t.Errorf("%d pages:\n%.300q", n, text)
	}
	text = running(t, Top{URLs: []string{s.URL}, Every: 10 * time.Millisecond, Once: true}, "never")
	if n := strings.Count(text, "Sluice  HEALTHY"); n != 1 || strings.Contains(text, "\x1b") || !strings.Contains(text, "accepted 0/s") {
		t.Errorf("once: %d pages:\n%.300q", n, text)
	}
}

// TestProcessThatComesAndGoes: the view goes on, and says so.
func TestProcessThatComesAndGoes(t *testing.T) {
	s := demoStation(t)
	s.Close()
	text := running(t, Top{URLs: []string{s.URL}, Every: 10 * time.Millisecond, Plain: true}, "UNHEALTHY")
	if !strings.Contains(text, "no answer from "+instance(s.URL)) || !strings.Contains(text, "redis ? ?") {
		t.Errorf("%s", text)
	}
}
