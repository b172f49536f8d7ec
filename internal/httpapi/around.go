package httpapi

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"strconv"
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
	a.finish(c, started, survive(c))
	return nil
}

// unread answers a request that could not be read, or not by fiber.
func (a *API) unread(c *fiber.Ctx, err error) error {
	started := time.Now()
	greet(c)
	a.finish(c, started, err)
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

// finish answers err, if there is one, and writes down what was answered.
func (a *API) finish(c *fiber.Ctx, started time.Time, err error) {
	if err != nil {
		refuse(c, err)
	}
	took := time.Since(started)
	status := c.Response().StatusCode()
	pattern := c.Route().Path
	if !a.patterns[pattern] {
		pattern = "none"
	}
	a.metrics.request(pattern, c.Method(), status, took)

	level := zerolog.DebugLevel
	if status >= fiber.StatusInternalServerError {
		level = zerolog.WarnLevel
	}
	if event := a.log.WithLevel(level); event.Enabled() {
		event.Str("request_id", requestID(c)).Str("method", c.Method()).Str("route", pattern).
			Str("path", c.Path()).Int("status", status).Dur("took", took).Err(err).Msg("request")
	}
}

// guarded asks who is asking before r answers, and ends what takes too long. The
// request's own context would end with the server, so it is not used: what is in
// hand at a shutdown is finished.
func (a *API) guarded(r route) fiber.Handler {
	return func(c *fiber.Ctx) error {
		who, err := a.who(c)
		if err != nil {
			return err
		}
		if len(r.roles) > 0 && !slices.Contains(r.roles, who.Role) {
			return &problem{code: forbidden}
		}
		ctx, cancel := context.WithTimeout(context.Background(), a.workTimeout)
		defer cancel()
		if err := r.answer(ctx, c, who); !errors.Is(err, sale.ErrUnknown) {
			return err
		}
		return &problem{code: r.unknown}
	}
}

// saleID and receiptID read the :id of a path in its one spelling. What cannot be
// the name of anything names nothing: it is as unknown as one that is not there.
func saleID(c *fiber.Ctx) (int64, error) {
	word := c.Params("id")
	id, err := strconv.ParseInt(word, 10, 64)
	if err != nil || id <= 0 || strconv.FormatInt(id, 10) != word {
		return 0, sale.ErrUnknown
	}
	return id, nil
}

func receiptID(c *fiber.Ctx) (uuid.UUID, error) {
	word := c.Params("id")
	id, err := uuid.Parse(word)
	if err != nil || id.String() != word {
		return uuid.UUID{}, sale.ErrUnknown
	}
	return id, nil
}
