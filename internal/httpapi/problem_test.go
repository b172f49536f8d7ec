package httpapi

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"testing"
	"time"

	"sluice/internal/accounts"
	"sluice/internal/catalog"
	"sluice/internal/sale"
)

// TestEveryCodeHasAnAnswer: whatever can be refused has a status and a title of
// its own, and no code stands for two things.
func TestEveryCodeHasAnAnswer(t *testing.T) {
	t.Parallel()
	for _, refused := range []sale.Code{sale.RefusedUnknownSale, sale.RefusedNotOpen, sale.RefusedClosed, sale.RefusedSoldOut, sale.RefusedSuspended,
		sale.RefusedMismatch, sale.RefusedRate, sale.RefusedOverload, sale.RefusedLoading} {
		if p := problemOf(&sale.Refusal{Code: refused}); p.code != code(refused) {
			t.Errorf("%s is answered as %s", refused, p.code)
		}
	}
	titles := map[string]code{}
	for code, answer := range answers {
		if answer.status < 400 || answer.status > 599 || answer.title == "" || titles[answer.title] != "" {
			t.Errorf("%s: %+v", code, answer)
		}
		titles[answer.title] = code
	}
	for _, word := range words {
		if problemOf(word.err).code != word.code || answers[word.code].status == 0 {
			t.Errorf("%v is answered as %s", word.err, problemOf(word.err).code)
		}
	}
	for _, rule := range rules {
		if p := problemOf(fmt.Errorf("sign up: %w", rule.err)); p.code != invalidFields || p.fields[0].Pointer != "#/"+rule.field {
			t.Errorf("%v is answered as %+v", rule.err, p)
		}
	}
	if p := problemOf(fmt.Errorf("sign in: %w", accounts.ErrThrottled{RetryAfter: time.Minute})); p.code != throttled || p.retryAfter != time.Minute {
		t.Errorf("throttled is answered as %+v", p)
	}
	if p := problemOf(fmt.Errorf("edit: %w", &catalog.Opened{Fields: sale.Faults{{Field: "stock", Rule: "no"}}})); p.code != tooLate || p.fields[0].Pointer != "#/stock" {
		t.Errorf("opened is answered as %+v", p)
	}
	for status, code := range framework {
		if answers[code].status != status {
			t.Errorf("fiber's %d is answered with %d", status, answers[code].status)
		}
	}
	// A tick's refusal can reach nobody; if it does, it is our fault.
	if p := problemOf(&sale.Refusal{Code: sale.RefusedEarly}); p.code != internal {
		t.Errorf("early is answered as %s", p.code)
	}
}

// sqlState is an error as Postgres' driver makes them.
type sqlState string

func (s sqlState) Error() string    { return "postgres: " + string(s) }
func (s sqlState) SQLState() string { return string(s) }

// TestFaultThatPasses: what passes is a 503, what does not is a 500.
func TestFaultThatPasses(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		err  error
		want code
	}{
		{context.DeadlineExceeded, unavailable},
		{io.EOF, unavailable},
		{io.ErrUnexpectedEOF, unavailable},
		{&net.OpError{Op: "dial", Err: errors.New("connection refused")}, unavailable},
		{&net.DNSError{Err: "no such host"}, unavailable},
		{sqlState("57P01"), unavailable}, // shutting down
		{sqlState("53300"), unavailable}, // too many connections
		{sqlState("55P03"), unavailable}, // lock not got
		{sqlState("40P01"), unavailable}, // deadlock
		{sqlState("23505"), internal},
		{sqlState("42P01"), internal},
		{sqlState(""), internal},
		{errors.New("script admit gave an unknown answer"), internal},
	} {
		if got := problemOf(fmt.Errorf("admit: %w", c.err)).code; got != c.want {
			t.Errorf("%v is answered as %s, want %s", c.err, got, c.want)
		}
	}
}
