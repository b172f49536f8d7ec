package bench

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/valyala/fasthttp"
)

const (
	answerBy  = 60 * time.Second // more than a long poll is held for
	pollEvery = 20 * time.Millisecond
	waitFor   = "wait=20" // a long poll, in seconds
)

// caller is one connection, and what is asked on it.
type caller struct {
	Load
	bearers  []string // of all callers
	request  *fasthttp.Request
	again    *fasthttp.Request // that reads a receipt
	response *fasthttp.Response
	key      []byte
	last     string // location of the last receipt

	conn net.Conn // nil: not yet, or no more
	in   *bufio.Reader
	out  *bufio.Writer
}

func newCaller(l Load, bearers []string) *caller {
	c := &caller{
		Load: l, bearers: bearers, request: fasthttp.AcquireRequest(), again: fasthttp.AcquireRequest(), response: fasthttp.AcquireResponse(),
		in: bufio.NewReader(nil), out: bufio.NewWriter(nil),
	}
	for _, r := range []*fasthttp.Request{c.request, c.again} {
		r.URI().SetScheme("http")
		r.URI().SetHost(l.Address)
	}
	if l.Journey != Read {
		c.request.Header.SetMethod("POST")
		c.request.Header.SetContentType("application/json")
		c.request.URI().SetPath(l.Path)
		c.request.SetBodyString(l.Body)
	}
	if !l.Poll {
		c.again.Header.Set("Prefer", waitFor)
	}
	return c
}

func (c *caller) hangUp() {
	if c.conn != nil {
		c.conn.Close()
	}
	fasthttp.ReleaseRequest(c.request)
	fasthttp.ReleaseRequest(c.again)
	fasthttp.ReleaseResponse(c.response)
}

// do sends a request, and reads its answer.
func (c *caller) do(request *fasthttp.Request) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("%s %s: %w", request.Header.Method(), request.URI().Path(), err)
		}
	}()
	if c.conn == nil {
		if c.conn, err = net.Dial("tcp", c.Address); err != nil {
			return err
		}
		c.in.Reset(c.conn)
		c.out.Reset(c.conn)
	}
	if err := c.conn.SetDeadline(time.Now().Add(answerBy)); err != nil {
		return err
	}
	if err := request.Write(c.out); err != nil {
		return err
	}
	if err := c.out.Flush(); err != nil {
		return err
	}
	if err := c.response.Read(c.in); err != nil {
		return err
	}
	if c.response.ConnectionClose() {
		err, c.conn = c.conn.Close(), nil
	}
	return err
}

// ask makes the i-th request, and answers the status of its first answer. Another one than
// expected is an error.
func (c *caller) ask(ctx context.Context, i int64) (int, error) {
	if all := c.bearers; len(all) > 0 {
		c.request.Header.Set("Authorization", all[i%int64(len(all))])
	}
	if c.Journey == Read {
		c.request.URI().SetPath(c.Paths[i%int64(len(c.Paths))])
	} else if c.Key != "" {
		c.key = strconv.AppendInt(append(c.key[:0], c.Key...), i, 10)
		c.request.Header.SetBytesV("Idempotency-Key", c.key)
	}
	if err := c.do(c.request); err != nil {
		return 0, err
	}
	status := c.response.StatusCode()
	if !slices.Contains(c.Expect, status) {
		return 0, c.unexpected(c.request)
	}
	if c.Word != "" && !bytes.Contains(c.response.Body(), []byte(c.Word)) {
		return 0, fmt.Errorf("%w, and not with %s", c.unexpected(c.request), c.Word)
	}
	if status == fasthttp.StatusAccepted && (c.Drain || c.Keep || c.Journey == Verdict) {
		if c.last = string(c.response.Header.Peek("Location")); c.last == "" {
			return 0, errors.New("accepted, and no Location")
		}
		if c.Journey == Verdict {
			return status, c.untilFinal(ctx)
		}
	}
	return status, nil
}

// untilFinal reads the last receipt until it is no longer queued.
func (c *caller) untilFinal(ctx context.Context) error {
	if c.last == "" {
		return nil
	}
	c.again.Header.Set("Authorization", string(c.request.Header.Peek("Authorization")))
	path := c.last
	if at := strings.Index(path, "://"); at >= 0 { // a URL
		_, path, _ = strings.Cut(path[at+3:], "/")
		path = "/" + path
	}
	c.again.URI().SetPath(path)
	for deadline := time.Now().Add(2 * answerBy); ; {
		if err := c.do(c.again); err != nil {
			return err
		}
		if c.response.StatusCode() != fasthttp.StatusOK {
			return c.unexpected(c.again)
		}
		if !bytes.Contains(c.response.Body(), []byte(`"status":"queued"`)) {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%s is still queued after %s", path, 2*answerBy)
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if c.Poll {
			time.Sleep(pollEvery)
		}
	}
}

// unexpected is an error that shows an answer.
func (c *caller) unexpected(to *fasthttp.Request) error {
	body := c.response.Body()
	return fmt.Errorf("%s %s is answered %d: %s", to.Header.Method(), to.URI().Path(), c.response.StatusCode(), body[:min(len(body), 300)])
}
