package torture

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

// TestBalancer: connections go to all targets by turns, to none that is out or refuses,
// and those that are open stay when their target is taken out.
func TestBalancer(t *testing.T) {
	target := func(name string) *httptest.Server {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, name) }))
		t.Cleanup(s.Close)
		return s
	}
	one, two := target("one"), target("two")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b := balance(l, new(net.Dialer).DialContext, one.Listener.Addr().String(), two.Listener.Addr().String())
	ask := func(c *http.Client) string {
		t.Helper()
		answer, err := c.Get("http://" + b.address())
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		text, err := io.ReadAll(answer.Body)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	fresh := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	kept := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{}}
	defer kept.CloseIdleConnections()
	heard := map[string]int{}
	for range 10 {
		heard[ask(fresh)]++
	}
	if heard["one"] != 5 || heard["two"] != 5 {
		t.Errorf("answered by %v", heard)
	}
	first := ask(kept)
	b.spare(map[string]*httptest.Server{"one": one, "two": two}[first].Listener.Addr().String())
	for range 5 {
		if now := ask(fresh); now == first {
			t.Errorf("%s is out, and answers", now)
		}
		if now := ask(kept); now != first {
			t.Errorf("an open connection came to %s", now)
		}
	}
	refuses, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b.take(refuses.Addr().String())
	if err := refuses.Close(); err != nil {
		t.Fatal(err)
	}
	for range 4 {
		if now := ask(fresh); now == first {
			t.Errorf("%s is out, and answers", now)
		}
	}
	if err := b.close(); err != nil {
		t.Error(err)
	}
	if _, err := fresh.Get("http://" + b.address()); err == nil {
		t.Error("it is closed, and answers")
	}
}
