package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"mime"
	"net/http"
	"time"
)

const (
	silenceMost  = 40 * time.Second // of a stream that lives: it beats every 15
	retryDefault = 2 * time.Second  // between two connections when the API does not say
	retryLeast   = 100 * time.Millisecond
	retryMost    = 30 * time.Second // also after many connections that brought nothing
)

var errSilent = fmt.Errorf("nothing was heard for %s", silenceMost)

// Follow tells every state of a receipt, the present one first, until it is final. It
// connects again whenever the connection ends, goes on where it was, and lasts as long
// as ctx does, through every fault that passes; a state may come twice then. With an
// error it ends. Breaking off the loop ends it too: nothing is left behind.
func (c *Client) Follow(ctx context.Context, id string) iter.Seq2[Receipt, error] {
	return func(yield func(Receipt, error) bool) {
		for e, err := range c.events(ctx, receiptPath(id)+"/events") {
			if err == nil && e.name != "receipt" {
				continue
			}
			var r Receipt
			if err = read(e, err, &r); !yield(r, err) || err != nil {
				return
			}
		}
	}
}

// ReceiptEvent is what [Client.FollowMine] tells.
type ReceiptEvent struct {
	// Reset says that changes may have been missed: what is not final is to be asked
	// after again, by [Client.Poll], say. There is no Receipt.
	Reset   bool
	Receipt Receipt // that has changed
}

// FollowMine tells of every receipt of the account that c speaks for, whenever it
// changes. It begins with a Reset: from then on it misses nothing, and what was before
// is found by [Client.Receipts] and Poll. It lasts as [Client.Follow] does, and ends
// with an error only.
func (c *Client) FollowMine(ctx context.Context) iter.Seq2[ReceiptEvent, error] {
	return func(yield func(ReceiptEvent, error) bool) {
		for e, err := range c.events(ctx, mePath+"/receipts/events") {
			var told ReceiptEvent
			switch {
			case err == nil && e.name == eventReset:
				told.Reset = true
			case err == nil && e.name != "receipt":
				continue
			default:
				err = read(e, err, &told.Receipt)
			}
			if !yield(told, err) || err != nil {
				return
			}
		}
	}
}

// FollowSale tells how a sale stands, at once and whenever its stock (if it is shown),
// state, price or terms change, until it is closed. It lasts as [Client.Follow] does.
// Anybody may follow.
func (c *Client) FollowSale(ctx context.Context, id int64) iter.Seq2[Sale, error] {
	return func(yield func(Sale, error) bool) {
		for e, err := range c.events(ctx, salePath(id)+"/events") {
			if err == nil && e.name != "sale" {
				continue
			}
			var s Sale
			if err = read(e, err, &s); !yield(s, err) || err != nil {
				return
			}
		}
	}
}

// read answers err, or else what e says.
func read(e event, err error, into any) error {
	if err != nil {
		return err
	}
	if err := json.Unmarshal(e.data, into); err != nil {
		return fmt.Errorf("understand the event %s: %w", e.name, err)
	}
	return nil
}

// The events that are about the stream.
const (
	eventReset = "reset"
	eventEnd   = "end"
)

// stream is a stream of events through all its connections.
type stream struct {
	client *Client
	path   string
	lastID string
	retry  time.Duration
	vain   int // connections in a row that brought nothing
}

// How a connection ends the stream.
var (
	errOver = errors.New("there will be no more events")
	errLeft = errors.New("nobody listens any more")
)

// events are those of a stream, without its ends. A connection that begins without
// the ID of an event to go on from begins with a reset.
func (c *Client) events(ctx context.Context, path string) iter.Seq2[event, error] {
	return func(yield func(event, error) bool) {
		s := &stream{client: c, path: path, retry: retryDefault}
		for {
			err := s.connect(ctx, yield)
			switch {
			case errors.Is(err, errLeft), errors.Is(err, errOver):
				return
			case ctx.Err() == nil && recovers(err):
				ended := sleep(ctx, s.pause(err))
				if ended == nil {
					continue
				}
				err = fmt.Errorf("%w; %w", ended, err)
			}
			yield(event{}, fmt.Errorf("GET %s: %w", path, err))
			return
		}
	}
}

// connect passes on the events of one connection, and answers why it ended.
func (s *stream) connect(ctx context.Context, yield func(event, error) bool) error {
	listening, leave := context.WithCancelCause(ctx)
	defer leave(nil)
	silence := time.AfterFunc(silenceMost, func() { leave(errSilent) })
	defer silence.Stop()
	s.vain++
	k := &call{method: http.MethodGet, path: s.path, accept: "text/event-stream", header: http.Header{}}
	if s.lastID != "" {
		k.header.Set("Last-Event-ID", s.lastID)
	}
	err := s.client.authorized(listening, k, nil)
	silence.Stop()
	if err == nil {
		defer k.stream.Close()
		err = s.listen(listening, k, silence, yield)
	}
	if ctx.Err() == nil && errors.Is(context.Cause(listening), errSilent) {
		return &lost{errSilent}
	}
	return err
}

// listen passes on the events that answer k.
func (s *stream) listen(ctx context.Context, k *call, silence *time.Timer, yield func(event, error) bool) error {
	if k.status == http.StatusNoContent {
		return errOver
	}
	if kind := k.answer.Get("Content-Type"); k.status != http.StatusOK || !isEvents(kind) {
		return fmt.Errorf("the answer is no stream of events: %d %q", k.status, kind)
	}
	if s.lastID == "" && !yield(event{name: eventReset}, nil) {
		return errLeft
	}
	in := newEventReader(&heard{k.stream, silence}, s.lastID)
	for {
		e, err := in.next()
		s.lastID = in.lastID
		if in.retry > 0 {
			s.retry = min(max(in.retry, retryLeast), retryMost)
		}
		if in.alive {
			s.vain = 0
		}
		switch {
		case errors.Is(err, errEventTooLong):
			return err
		case err != nil:
			return &lost{fmt.Errorf("the stream broke off: %w", err)}
		case e.name == eventEnd:
			return s.end(ctx, k, e)
		case !yield(e, nil):
			return errLeft
		}
	}
}

// end answers what the last event of a connection means.
func (s *stream) end(ctx context.Context, k *call, e event) error {
	var last struct {
		Reason string `json:"reason"`
	}
	_ = json.Unmarshal(e.data, &last) // a reason that cannot be read is one that we do not know
	switch last.Reason {
	case "final", "closed":
		return errOver
	case "token_expired":
		if _, err := s.client.token(ctx, k.token); err != nil {
			return err
		}
	}
	return &lost{fmt.Errorf("the API ended the stream: %q", last.Reason)}
}

// pause is how long to wait before the next connection, after err ended one.
func (s *stream) pause(err error) time.Duration {
	pause := min(s.retry<<min(max(s.vain-1, 0), 10), retryMost)
	return spread(max(pause, min(retryAfterOf(err), longestTurn)))
}

func isEvents(contentType string) bool {
	kind, _, err := mime.ParseMediaType(contentType)
	return err == nil && kind == "text/event-stream"
}

// heard is a stream that has its silence measured while somebody reads.
type heard struct {
	io.Reader
	silence *time.Timer
}

func (h *heard) Read(p []byte) (int, error) {
	h.silence.Reset(silenceMost)
	defer h.silence.Stop()
	return h.Reader.Read(p)
}
