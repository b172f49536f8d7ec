package httpapi

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
)

// afterwards sends the head of a body that is too long, reads the refusal, and then goes
// on to send so many bytes. It answers how many of them could be sent.
func afterwards(t *testing.T, addr string, bytes int) (sent int) {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Fprintf(c, "POST /v1/x HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n", bytes); err != nil {
		t.Fatal(err)
	}
	reader := bufio.NewReader(c)
	answer, err := http.ReadResponse(reader, nil)
	if err != nil || answer.StatusCode != http.StatusRequestEntityTooLarge {
		t.Fatalf("%+v, %v", answer, err)
	}
	if text, err := io.ReadAll(answer.Body); err != nil || !strings.Contains(string(text), "body_too_large") {
		t.Fatalf("%s, %v", text, err)
	}
	answer.Body.Close()
	_, _ = io.Copy(io.Discard, reader) // until the server has closed its side, or all of it
	piece := make([]byte, 4096)
	for sent < bytes {
		n, err := c.Write(piece)
		if sent += n; err != nil {
			break
		}
	}
	return sent
}

// TestLingering: who sends too much is not cut off while he sends, or he might never
// read why.
func TestLingering(t *testing.T) {
	t.Parallel()
	api, _ := bare(t, nil, nil)
	addr := serve(t, api)
	if sent := afterwards(t, addr, 800<<10); sent < 800<<10 {
		t.Errorf("cut off after %d bytes", sent)
	}
	// But not for ever, or he could keep a connection as long as he likes.
	if sent := afterwards(t, addr, 100<<20); sent == 100<<20 {
		t.Error("100 MiB were read")
	}
}

// TestBluntCloseIsSeen is the known-bad twin: without lingering he is cut off.
func TestBluntCloseIsSeen(t *testing.T) {
	t.Parallel()
	api, _ := bare(t, nil, nil)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- api.app.Listener(l) }()
	if sent := afterwards(t, l.Addr().String(), 800<<10); sent == 800<<10 {
		t.Error("he is not cut off")
	}
	if err := errors.Join(api.app.Shutdown(), <-served); err != nil {
		t.Error(err)
	}
}

// TestWholeBodyThenAnswer: a client that reads nothing before it has sent all gets its
// answer, time and again, by length and in chunks.
func TestWholeBodyThenAnswer(t *testing.T) {
	t.Parallel()
	api, _ := bare(t, nil, nil)
	addr := serve(t, api)
	body := strings.Repeat("x", 700<<10)
	var crowd sync.WaitGroup
	for range 8 {
		crowd.Go(func() {
			for _, text := range []string{
				fmt.Sprintf("POST /v1/x HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", len(body), body),
				fmt.Sprintf("POST /v1/x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", len(body), body),
			} {
				all := raw(t, addr, text)
				if len(all) != 1 || all[0].status != http.StatusRequestEntityTooLarge || !strings.Contains(all[0].raw, `"code":"body_too_large"`) {
					t.Errorf("%d answers: %.300v", len(all), all)
				}
			}
		})
	}
	crowd.Wait()
	counted := 0.0
	for _, method := range []string{"POST", "GET"} { // of a request whose chunks are too much fasthttp forgets the method
		counted += testutil.ToFloat64(api.metrics.requests.WithLabelValues("none", method, "413"))
	}
	if counted != 16 {
		t.Errorf("%v are counted", counted)
	}
}

// TestSilentLingerEnds: who neither sends nor closes is not waited for long.
func TestSilentLingerEnds(t *testing.T) {
	t.Parallel()
	api, _ := bare(t, nil, nil)
	addr := serve(t, api)
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := io.WriteString(c, "POST /v1/x HTTP/1.1\r\nHost: x\r\nContent-Length: 999999\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(c); err != nil {
		t.Fatal(err)
	}
	h := &house{t: t}
	h.until("the connection is closed", func() bool { _, err := c.Write([]byte("x")); return err != nil })
}
