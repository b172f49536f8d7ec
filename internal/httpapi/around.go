package httpapi

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"
	"github.com/rs/zerolog"

	"sluice/internal/sale"
)

// around stands around every request that could be read: whatever comes of it, it
// is answered, logged and counted.
func (a *API) around(c *fiber.Ctx) error {
	started := time.Now()
	a.greet(c)
	err := survive(c)
	if err == errParked {
		return nil // it is answered, logged and counted when it has waited
	}
	a.finish(c, started, c.Route(), err)
	return nil
}

// unread answers a request that could not be read, or not by fiber.
func (a *API) unread(c *fiber.Ctx, err error) error {
	started := time.Now()
	a.greet(c)
	a.finish(c, started, &fiber.Route{}, err)
	return nil
}

// survive goes on with c and makes an error of a panic.
func survive(c *fiber.Ctx) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	return c.Next()
}

// greet sets what every answer carries. Answers depend on who asks and when.
func (a *API) greet(c *fiber.Ctx) {
	id, header := c.Get(fiber.HeaderXRequestID), &c.Response().Header
	if visible(id, sale.MaxTrace) {
		header.Set(fiber.HeaderXRequestID, id)
	} else {
		var room [36]byte
		header.SetCanonical(requestIDName, appendID(room[:0], randomID()))
	}
	header.SetCanonical(cacheControlName, noStore)
	a.fence(c.Context())
}

// The names of headers that every answer has, in their canonical form.
var (
	requestIDName    = []byte("X-Request-Id")
	cacheControlName = []byte(fiber.HeaderCacheControl)
	noStore          = []byte("no-store")
)

// randomID is a UUIDv4. It is a name for log lines, and no secret.
func randomID() (id uuid.UUID) {
	binary.NativeEndian.PutUint64(id[:8], rand.Uint64())
	binary.NativeEndian.PutUint64(id[8:], rand.Uint64())
	id[6], id[8] = id[6]&0x0f|0x40, id[8]&0x3f|0x80
	return id
}

// requestID answers a copy of what greet set.
func requestID(c *fiber.Ctx) string { return string(c.Response().Header.Peek(fiber.HeaderXRequestID)) }

// visible says whether s is 1 to most characters of visible ASCII.
func visible(s string, most int) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' {
			return false
		}
	}
	return 1 <= len(s) && len(s) <= most
}

// finish answers err, if there is one, and writes down what was answered on which
// route.
func (a *API) finish(c *fiber.Ctx, started time.Time, route *fiber.Route, err error) {
	var answered code
	if err != nil {
		answered = refuse(c, err)
	}
	took := time.Since(started)
	status := c.Response().StatusCode()
	known := a.seen[[2]string{route.Method, route.Path}]
	if known == nil {
		known = a.unseen
	}
	pattern, method := known.pattern, wordOf(c.Method())
	a.metrics.request(known, method, status, took)
	if sheds[answered] {
		a.shedding.refused(answered)
	}

	// One line per request; of those that crowds send, a few. What went wrong on our
	// side always has one; a request refused at the door is no fault.
	level, log := zerolog.InfoLevel, &a.log
	var refusal *sale.Refusal
	switch {
	case status >= fiber.StatusInternalServerError && !errors.As(err, &refusal):
		level = zerolog.WarnLevel
	case known.hot, answered == ipLimited:
		log = &a.glimpses
	}
	event := log.WithLevel(level)
	if !event.Enabled() {
		return
	}
	// Whatever came from outside may be a password, a token or an e-mail in the wrong
	// place, so nothing of it is repeated but the name of a thing, and no error but
	// our own: others say what they could not read.
	event.Str("request_id", requestID(c)).Str("method", method).Str("route", pattern)
	if pattern != "none" && pattern != frontPattern { // those have no :id
		a.mention(c, pattern, event)
	}
	event.Int("status", status).Dur("took", took)
	if answered != "" {
		event.Str("code", string(answered))
	}
	if level == zerolog.WarnLevel {
		event.Err(err)
	}
	event.Msg("request")
}

// mention writes what the request was about, under the names that the settlement of it
// uses. Of a request about a receipt that was queued, that is its target.
func (a *API) mention(c *fiber.Ctx, pattern string, event *zerolog.Event) {
	made, queued := strings.CutPrefix(string(c.Response().Header.Peek(fiber.HeaderLocation)), receiptsPath)
	if replayed, is := strings.CutPrefix(made, seenReceiptsPath); is {
		made, queued = replayed, true
	}
	if id, err := parseReceiptID(made); queued && err == nil {
		event.Stringer("receipt", id)
		if p, ok := sale.PartitionOf(id); ok {
			event.Int("partition", p)
		}
	}
	word := c.Params("id") // which may be anything
	switch number, err := parseSaleID(word); {
	case strings.HasPrefix(pattern, salesPath) && err == nil:
		event.Int64("sale", number)
	case strings.HasPrefix(pattern, storesPath) && err == nil:
		event.Int64("store", number)
	case strings.HasPrefix(pattern, receiptsPath), strings.HasPrefix(pattern, seenReceiptsPath):
		about := "receipt"
		if queued {
			about = "target"
		}
		if id, err := parseReceiptID(word); err == nil {
			event.Stringer(about, id)
		}
	}
}
