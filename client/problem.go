package client

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Code is what went wrong, in a word that never changes. An answer that is not
// the API's own, say a proxy's, has the code http_ and its status: http_502.
type Code string

// The codes that a program may want to tell apart. The API's page of errors lists
// all of them.
const (
	CodeBadQuery         Code = "bad_query"
	CodeBadCursor        Code = "bad_cursor"
	CodeUnauthorized     Code = "unauthorized"  // no token: sign in
	CodeTokenExpired     Code = "token_expired" // and there is no refresh token to renew it
	CodeTokenInvalid     Code = "token_invalid"
	CodeBadCredentials   Code = "bad_credentials" // e-mail or password is wrong; the API does not say which
	CodeSessionEnded     Code = "session_ended"   // the refresh token is unknown, too old, or was used before: sign in
	CodeForbidden        Code = "forbidden"       // your role may not do this
	CodeNotYours         Code = "not_yours"
	CodeNotFound         Code = "not_found"
	CodeUnknownSale      Code = "unknown_sale"
	CodeUnknownReceipt   Code = "unknown_receipt"  // it never existed, or was a rejection and is forgotten
	CodeLost             Code = "lost"             // the receipt was queued when Redis lost data, if there was one: ask again
	CodeDropped          Code = "receipts_dropped" // the sale has been over for longer than receipts are kept
	CodeUnknownStore     Code = "unknown_store"
	CodeUnknownSlot      Code = "unknown_slot"   // the time cannot be booked yet, or not any more
	CodeUnknownLetter    Code = "unknown_letter" // the dead letter was replayed or dropped, or never was
	CodeNotOpen          Code = "not_open"       // RetryAfter says when
	CodeClosed           Code = "closed"
	CodeSoldOut          Code = "sold_out"
	CodeSuspended        Code = "suspended"  // the sale is stopped until an operator has looked at it
	CodeWrongKind        Code = "wrong_kind" // a sale of this kind cannot be asked this
	CodeOpened           Code = "opened"     // the sale has opened: there is nothing to watch for
	CodeTooLate          Code = "too_late"   // the sale has opened, or is about to
	CodeTooEarly         Code = "too_early"  // the slot has not begun
	CodeStoreLimit       Code = "store_limit"
	CodeStoreBooked      Code = "store_booked" // a slot to come is booked
	CodeEmailTaken       Code = "email_taken"
	CodeAccountBusy      Code = "account_busy"      // one of its sales is not paid out yet
	CodeTooMuch          Code = "too_much"          // the wallet cannot hold it
	CodeLetterUnreadable Code = "letter_unreadable" // nobody knows what the dead letter asks
	CodeAuditUnderWay    Code = "audit_under_way"   // somebody else is having one in this process
	CodeAuditTooLong     Code = "audit_too_long"
	CodeAuditUnsure      Code = "audit_unsure" // the books did not hold still: try again
	CodeSaleBroken       Code = "sale_broken"  // an audit finds it so: it is not resumed but by force
	CodeInvalidFields    Code = "invalid_fields"
	CodeInvalidSlot      Code = "invalid_slot"         // no time that the store can be booked for
	CodeMismatch         Code = "idempotency_mismatch" // the key was used for another request
	CodeRateLimited      Code = "rate_limited"         // Limits says how often one may ask
	CodeThrottled        Code = "throttled"            // too many sign-ins or sign-ups
	CodeIPLimited        Code = "ip_limited"           // too many requests from this address
	CodeTopUpsOff        Code = "topups_off"           // no sandbox: points are not for nothing
	CodeInternal         Code = "internal"
	CodeUnavailable      Code = "unavailable"
	CodeOverloaded       Code = "overloaded"       // Turn is a place among those who come back
	CodeTooManyWaiters   Code = "too_many_waiters" // too many streams of events are open
	CodeLoading          Code = "loading"
)

// Problem is what the API answers to a request that it refuses (RFC 9457). An
// error; the calls of this package wrap it.
type Problem struct {
	Status     int           `json:"status"` // of HTTP
	Code       Code          `json:"code"`
	Title      string        `json:"title"`            // the code, for a person
	Detail     string        `json:"detail,omitempty"` // more than the title says
	Fields     []Field       `json:"errors,omitempty"` // of invalid_fields and bad_query
	RequestID  string        `json:"request_id"`       // names the request in the API's logs
	RetryAfter time.Duration `json:"-"`                // when to ask again; 0: nobody knows
	Turn       string        `json:"-"`                // of overloaded: sent with the same request after RetryAfter ([WithTurn]), it goes before newcomers
	Limits     []Limit       `json:"-"`                // that hold for this request
}

// Field is one part of a request that breaks a rule: a field of its body, or a
// parameter of its query.
type Field struct {
	Pointer   string `json:"pointer,omitempty"`   // JSON pointer as a URI fragment: #/stock
	Parameter string `json:"parameter,omitempty"` // name
	Detail    string `json:"detail"`              // the rule
}

func (p *Problem) Error() string {
	var text strings.Builder
	fmt.Fprintf(&text, "%d %s: %s", p.Status, p.Code, p.Title)
	if p.Detail != "" {
		text.WriteString(": " + p.Detail)
	}
	for i, f := range p.Fields {
		text.WriteString([]string{": ", "; "}[min(i, 1)] + f.Pointer + f.Parameter + " " + f.Detail)
	}
	if p.RequestID != "" {
		text.WriteString(" (request " + p.RequestID + ")")
	}
	return text.String()
}

// CodeOf answers the code of the [Problem] in err, "" when there is none.
func CodeOf(err error) Code {
	var p *Problem
	if errors.As(err, &p) {
		return p.Code
	}
	return ""
}

// problemOf reads the answer to a refused request.
func problemOf(r *http.Response, text []byte) *Problem {
	p := &Problem{}
	wire := struct {
		*Problem
		RetryAfterMS int64 `json:"retry_after_ms"`
	}{Problem: p}
	if err := json.Unmarshal(text, &wire); err != nil || p.Code == "" {
		*p = Problem{Code: Code("http_" + strconv.Itoa(r.StatusCode)), Title: cmp.Or(http.StatusText(r.StatusCode), "unknown status")}
	}
	p.Status = r.StatusCode
	p.RequestID = cmp.Or(p.RequestID, r.Header.Get("X-Request-ID"))
	p.RetryAfter = cmp.Or(milliseconds(wire.RetryAfterMS), retryAfter(r.Header.Get("Retry-After")))
	p.Limits = limitsOf(r.Header)
	if turn := r.Header.Get(turnHeader); len(turn) <= turnMost && visible(turn) {
		p.Turn = turn
	}
	return p
}

const turnHeader = "Sluice-Turn"

// turnOf answers the turn that the problem in err gives, "" when it gives none.
func turnOf(err error) string {
	var p *Problem
	if errors.As(err, &p) {
		return p.Turn
	}
	return ""
}

// milliseconds is n of them, as near as a duration that is not negative gets to it.
func milliseconds(n int64) time.Duration {
	return time.Duration(min(max(n, 0), int64(math.MaxInt64/time.Millisecond))) * time.Millisecond
}

// retryAfter reads the header, seconds or a date; 0 when it says nothing.
func retryAfter(header string) time.Duration {
	if seconds, err := strconv.ParseInt(header, 10, 32); err == nil {
		return max(0, time.Duration(seconds)*time.Second)
	}
	if at, err := http.ParseTime(header); err == nil {
		return max(0, time.Until(at))
	}
	return 0
}
