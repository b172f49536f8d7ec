package httpapi

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/gofiber/fiber/v2"

	"sluice/internal/accounts"
	"sluice/internal/sale"
)

// code is what went wrong, in a word that never changes.
type code string

// The codes. Those of a refusal are the words of sale.Code.
const (
	badRequest       code = "bad_request"
	badJSON          code = "bad_json"
	badKey           code = "idempotency_key_invalid"
	unauthorized     code = "unauthorized"
	tokenExpired     code = "token_expired"
	tokenInvalid     code = "token_invalid"
	forbidden        code = "forbidden"
	notYours         code = "not_yours"
	notFound         code = "not_found"
	unknownSale           = code(sale.RefusedUnknownSale)
	unknownReceipt   code = "unknown_receipt"
	methodNotAllowed code = "method_not_allowed"
	requestTimeout   code = "request_timeout"
	bodyTooLarge     code = "body_too_large"
	badMediaType     code = "unsupported_media_type"
	invalidFields    code = "invalid_fields"
	headerTooLarge   code = "header_too_large"
	internal         code = "internal"
	methodUnknown    code = "method_unknown"
	unavailable      code = "unavailable"
)

// answers is the one table from codes to what is answered.
var answers = map[code]struct {
	status int
	title  string
}{
	badRequest: {400, "The request cannot be read"},
	badJSON:    {400, "The body is not one JSON object"},
	badKey:     {400, "Idempotency-Key must be 1 to 255 visible ASCII characters, once"},

	unauthorized: {401, "A bearer token is needed"},
	tokenExpired: {401, "The token has expired"},
	tokenInvalid: {401, "The token is not valid"},

	forbidden: {403, "Your role may not do this"},
	notYours:  {403, "This belongs to somebody else"},

	notFound:       {404, "There is nothing at this address"},
	unknownSale:    {404, "There is no such sale"},
	unknownReceipt: {404, "There is no such receipt, or it was a rejection and is forgotten"},

	methodNotAllowed: {405, "This address does not know the method"},
	requestTimeout:   {408, "The request took too long to arrive"},

	code(sale.RefusedNotOpen): {409, "The sale is not open yet"},
	code(sale.RefusedClosed):  {409, "The sale is closed"},
	code(sale.RefusedSoldOut): {409, "The sale is sold out"},

	bodyTooLarge: {413, "The body is too large"},
	badMediaType: {415, "The body must be application/json, as it is"},

	invalidFields:              {422, "Some fields are missing or break a rule"},
	code(sale.RefusedMismatch): {422, "This Idempotency-Key was used for another request"},

	code(sale.RefusedRate): {429, "You ask too often"},
	headerTooLarge:         {431, "The request line and headers are too large"},

	internal:                   {500, "Something went wrong on our side"},
	methodUnknown:              {501, "The method is not known"},
	unavailable:                {503, "A store cannot be reached"},
	code(sale.RefusedOverload): {503, "Too many requests are queued"},
	code(sale.RefusedLoading):  {503, "The sale is being loaded"},
}

// words is the table from the errors of our own packages to codes.
var words = []struct {
	err  error
	code code
}{
	{accounts.ErrExpired, tokenExpired},
	{accounts.ErrToken, tokenInvalid},
	{sale.ErrNotYours, notYours},
	{sale.ErrUnavailable, unavailable},
}

// framework is the table from fiber's errors, which are statuses, to codes. What
// is not in it is a request that broke off or made no sense.
var framework = map[int]code{
	fiber.StatusNotFound:                    notFound,
	fiber.StatusMethodNotAllowed:            methodNotAllowed,
	fiber.StatusRequestTimeout:              requestTimeout,
	fiber.StatusRequestEntityTooLarge:       bodyTooLarge,
	fiber.StatusRequestHeaderFieldsTooLarge: headerTooLarge,
}

// problem is an error that knows its answer.
type problem struct {
	code       code
	detail     string        // more than the title says, for a person
	fields     []fieldFault  // of invalidFields
	retryAfter time.Duration // 0: not known
}

func (p *problem) Error() string { return string(p.code) }

// fieldFault is one field of a body that breaks a rule.
type fieldFault struct {
	Pointer string `json:"pointer"` // JSON pointer as a URI fragment
	Detail  string `json:"detail"`
}

// problemOf answers what err is to the one who asked.
//
// The rule for what is none of our words: 503 when a store could not be reached
// or was too slow, which passes, and 500 for all else, which is ours to repair.
func problemOf(err error) *problem {
	var own *problem
	var refusal *sale.Refusal
	var status *fiber.Error
	switch {
	case errors.As(err, &own):
		return own
	case errors.As(err, &refusal) && answers[code(refusal.Code)].status != 0:
		return &problem{code: code(refusal.Code), retryAfter: refusal.RetryAfter}
	case errors.As(err, &status):
		if known, ok := framework[status.Code]; ok {
			return &problem{code: known}
		}
		return &problem{code: badRequest}
	}
	for _, word := range words {
		if errors.Is(err, word.err) {
			return &problem{code: word.code}
		}
	}
	if passes(err) {
		return &problem{code: unavailable}
	}
	return &problem{code: internal}
}

// passes says whether err is a connection that broke, was refused or took too
// long. Drivers stay hidden below us: their own errors are known by what they
// wrap, and Postgres' by its standard SQLSTATE.
func passes(err error) bool {
	var network net.Error
	var state interface{ SQLState() string }
	switch {
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.As(err, &network):
		return true
	case errors.As(err, &state) && len(state.SQLState()) == 5:
		switch state.SQLState()[:2] {
		case "08", "25", "40", "53", "55", "57": // connection, transaction timed out, rolled back, out of resources, lock not got, shutting down
			return true
		}
	}
	return false
}

// document is RFC 9457's form, with our own code, request_id and retry_after_ms.
type document struct {
	Type         string       `json:"type"`
	Title        string       `json:"title"`
	Status       int          `json:"status"`
	Code         code         `json:"code"`
	Detail       string       `json:"detail,omitempty"`
	Instance     string       `json:"instance"`
	RequestID    string       `json:"request_id"`
	RetryAfterMS int64        `json:"retry_after_ms,omitempty"`
	Errors       []fieldFault `json:"errors,omitempty"`
}

const problemType = "application/problem+json"

// refuse answers err. The error itself is for the log only.
func refuse(c *fiber.Ctx, err error) {
	p := problemOf(err)
	answer := answers[p.code]
	switch answer.status {
	case http.StatusUnauthorized:
		challenge := `Bearer realm="sluice"`
		if p.code != unauthorized {
			challenge += fmt.Sprintf(`, error="invalid_token", error_description="%s"`, answer.title)
		}
		c.Set(fiber.HeaderWWWAuthenticate, challenge)
	case http.StatusServiceUnavailable:
		p.retryAfter = max(p.retryAfter, time.Second)
	}
	if p.retryAfter > 0 {
		c.Set(fiber.HeaderRetryAfter, wholeSeconds(p.retryAfter))
	}
	// Marshalling plain fields cannot fail.
	_ = c.Status(answer.status).JSON(document{
		Type: "/docs/errors#" + string(p.code), Title: answer.title, Status: answer.status, Code: p.code,
		Detail: p.detail, Instance: c.Path(), RequestID: requestID(c), RetryAfterMS: p.retryAfter.Milliseconds(), Errors: p.fields,
	}, problemType)
}

// wholeSeconds is d as Retry-After wants it, rounded up, at least 1.
func wholeSeconds(d time.Duration) string {
	return strconv.FormatInt(max(1, int64((d+time.Second-1)/time.Second)), 10)
}
