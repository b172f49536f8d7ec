package httpapi

import (
	"errors"
	"fmt"
	"runtime/debug"
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
	greet(c)
	err := survive(c)
	a.finish(c, started, c.Route(), err)
	return nil
}

// unread answers a request that could not be read, or not by fiber.
func (a *API) unread(c *fiber.Ctx, err error) error {
	started := time.Now()
	greet(c)
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
func greet(c *fiber.Ctx) {
	id := c.Get(fiber.HeaderXRequestID)
	if !visible(id, sale.MaxTrace) {
		id = uuid.NewString()
	}
	c.Set(fiber.HeaderXRequestID, id)
	c.Set(fiber.HeaderXContentTypeOptions, "nosniff")
	c.Set(fiber.HeaderCacheControl, "no-store")
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
	pattern := route.Path
	if !a.patterns[pattern] {
		pattern = "none"
	}
	method := wordOf(c.Method())
	a.metrics.request(pattern, method, status, took)

	// One line per request; of those that crowds send, a few. What went wrong on our
	// side always has one; a request refused at the door is no fault.
	level, log := zerolog.InfoLevel, &a.log
	var refusal *sale.Refusal
	switch {
	case status >= fiber.StatusInternalServerError && !errors.As(err, &refusal):
		level = zerolog.WarnLevel
	case a.hot[[2]string{route.Method, pattern}]:
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
	if pattern != "none" && isName(c.Params("id")) {
		event.Str("id", c.Params("id"))
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
