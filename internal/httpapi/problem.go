package httpapi

import (
	"cmp"
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
	"sluice/internal/admission"
	"sluice/internal/audit"
	"sluice/internal/bookings"
	"sluice/internal/catalog"
	"sluice/internal/deadletters"
	"sluice/internal/notices"
	"sluice/internal/sale"
)

// code is what went wrong, in a word that never changes.
type code string

// The codes. Those of a refusal are the words of sale.Code.
const (
	badRequest       code = "bad_request"
	badJSON          code = "bad_json"
	badQuery         code = "bad_query"
	badCursor        code = "bad_cursor"
	badKey           code = "idempotency_key_invalid"
	unauthorized     code = "unauthorized"
	tokenExpired     code = "token_expired"
	tokenInvalid     code = "token_invalid"
	badCredentials   code = "bad_credentials"
	sessionEnded     code = "session_ended"
	forbidden        code = "forbidden"
	notYours         code = "not_yours"
	topUpsOff        code = "topups_off"
	notFound         code = "not_found"
	unknownSale           = code(sale.RefusedUnknownSale)
	unknownReceipt   code = "unknown_receipt"
	lost             code = "lost"
	receiptsDropped  code = "receipts_dropped"
	unknownStore     code = "unknown_store"
	unknownSlot      code = "unknown_slot"
	unknownLetter    code = "unknown_letter"
	methodNotAllowed code = "method_not_allowed"
	requestTimeout   code = "request_timeout"
	emailTaken       code = "email_taken"
	accountBusy      code = "account_busy"
	tooLate          code = "too_late"
	tooEarly         code = "too_early"
	hasOpened        code = "opened"
	wrongKind        code = "wrong_kind"
	storeLimit       code = "store_limit"
	storeBooked      code = "store_booked"
	tooMuch          code = "too_much"
	letterUnreadable code = "letter_unreadable"
	auditUnderWay    code = "audit_under_way"
	auditTooLong     code = "audit_too_long"
	auditUnsure      code = "audit_unsure"
	saleBroken       code = "sale_broken"
	bodyTooLarge     code = "body_too_large"
	badMediaType     code = "unsupported_media_type"
	invalidFields    code = "invalid_fields"
	invalidSlot      code = "invalid_slot"
	throttled        code = "throttled"
	ipLimited        code = "ip_limited"
	headerTooLarge   code = "header_too_large"
	internal         code = "internal"
	methodUnknown    code = "method_unknown"
	unavailable      code = "unavailable"
	tooManyWaiters   code = "too_many_waiters"
)

// answers is the one table from codes to what is answered.
var answers = map[code]struct {
	status int
	title  string
}{
	badRequest: {400, "The request cannot be read"},
	badJSON:    {400, "The body is not one JSON object"},
	badQuery:   {400, "A parameter of the query is unknown, repeated or breaks a rule"},
	badCursor:  {400, "The cursor is none of this list with these filters"},
	badKey:     {400, "Idempotency-Key must be 1 to 255 visible ASCII characters, once"},

	unauthorized:   {401, "A bearer token is needed"},
	tokenExpired:   {401, "The token has expired"},
	tokenInvalid:   {401, "The token is not valid"},
	badCredentials: {401, "E-mail or password is wrong"}, // 403 from who is signed in: his token is good
	sessionEnded:   {401, "The session has ended: sign in again"},

	forbidden: {403, "Your role may not do this"},
	notYours:  {403, "This belongs to somebody else"},
	topUpsOff: {403, "Points cannot be had for nothing here: this is no sandbox"},

	notFound:       {404, "There is nothing at this address"},
	unknownSale:    {404, "There is no such sale"},
	unknownReceipt: {404, "There is no such receipt, or it was a rejection and is forgotten"},
	unknownStore:   {404, "There is no such store"},
	unknownSlot:    {404, "This time of the store cannot be booked yet, or not any more"},
	unknownLetter:  {404, "There is no such dead letter, or not any more"},

	methodNotAllowed: {405, "This address does not know the method"},
	requestTimeout:   {408, "The request took too long to arrive"},

	emailTaken:                  {409, "An account has this e-mail already"},
	accountBusy:                 {409, "A sale of this account is not paid out yet"},
	tooLate:                     {409, "The sale is open or about to be: this may not change any more"},
	tooEarly:                    {409, "The slot has not begun"},
	hasOpened:                   {409, "The sale has opened already"},
	wrongKind:                   {409, "A sale of this kind cannot be asked this"},
	storeLimit:                  {409, "You have as many open stores as one seller may have"},
	storeBooked:                 {409, "A slot to come is booked"},
	tooMuch:                     {409, "The wallet, or all wallets together, cannot hold so much"},
	letterUnreadable:            {409, "The dead letter cannot be read, so nobody knows what it asks"},
	auditUnderWay:               {409, "Another audit is under way in this process"},
	auditTooLong:                {409, "There is more to audit than the API takes time for: run `sluice audit`"},
	auditUnsure:                 {409, "The books of the sale did not hold still to be compared: try again"},
	saleBroken:                  {409, "An audit finds the sale broken: repair it first, or know better with force"},
	code(sale.RefusedNotOpen):   {409, "The sale is not open yet"},
	code(sale.RefusedClosed):    {409, "The sale is closed"},
	code(sale.RefusedSoldOut):   {409, "The sale is sold out"},
	code(sale.RefusedSuspended): {409, "The sale is stopped until an operator has looked at it"},

	lost: {410, "There is no such receipt: if it was queued, it was lost with data of Redis, and nothing was done"},

	receiptsDropped: {410, "This sale has been over for long: its receipts are not kept any more"},

	bodyTooLarge: {413, "The body is too large"},
	badMediaType: {415, "The body must be application/json, as it is"},

	invalidFields:              {422, "Some fields are missing or break a rule"},
	invalidSlot:                {422, "This is no time that the store can be booked for"},
	code(sale.RefusedMismatch): {422, "This Idempotency-Key was used for another request"},

	code(sale.RefusedRate): {429, "You ask too often"},
	throttled:              {429, "Too many attempts"},
	ipLimited:              {429, "Too many requests come from your address"},
	headerTooLarge:         {431, "The request line and headers are too large"},

	internal:                   {500, "Something went wrong on our side"},
	methodUnknown:              {501, "The method is not known"},
	unavailable:                {503, "A store cannot be reached"},
	tooManyWaiters:             {503, "Too many clients are waiting here"},
	code(sale.RefusedOverload): {503, "Too many requests are queued"},
	code(sale.RefusedLoading):  {503, "The partition or the sale is being loaded"},
}

// words is the table from the errors of our own packages to codes.
var words = []struct {
	err  error
	code code
}{
	{accounts.ErrExpired, tokenExpired},
	{accounts.ErrToken, tokenInvalid},
	{accounts.ErrCredentials, badCredentials},
	{accounts.ErrSession, sessionEnded},
	{accounts.ErrReplayed, sessionEnded}, // the thief and the one he stole from are told the same
	{accounts.ErrTaken, emailTaken},
	{accounts.ErrBusy, accountBusy},
	{accounts.ErrTooMuch, tooMuch},
	{catalog.ErrOpened, tooLate},
	{admission.ErrKind, wrongKind},
	{bookings.ErrTooMany, storeLimit},
	{bookings.ErrBooked, storeBooked},
	{bookings.ErrEarly, tooEarly},
	{notices.ErrOpened, hasOpened},
	{deadletters.ErrNone, unknownLetter},
	{deadletters.ErrPartition, unknownLetter},
	{deadletters.ErrUnreadable, letterUnreadable},
	{audit.ErrUnderWay, auditUnderWay},
	{sale.ErrNotYours, notYours},
	{sale.ErrLost, lost},
	{sale.ErrDropped, receiptsDropped},
	{sale.ErrUnavailable, unavailable},
}

// rules is the table from the errors that are rules of one field to that field.
var rules = []struct {
	err   error
	field string
}{
	{accounts.ErrEmail, "email"},
	{accounts.ErrPassword, "password"},
	{accounts.ErrRole, "role"},
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
	status     int           // instead of the table's
	detail     string        // more than the title says, for a person
	fields     []fieldFault  // what is wrong with what was sent
	retryAfter time.Duration // 0: not known
}

func (p *problem) Error() string { return string(p.code) }

// isFault says that it is ours, and may pass.
func (p *problem) isFault() bool { return answers[p.code].status >= http.StatusInternalServerError }

// fieldFault is one field of a body, or parameter of a query, that breaks a rule.
type fieldFault struct {
	Pointer   string `json:"pointer,omitempty"` // JSON pointer as a URI fragment
	Parameter string `json:"parameter,omitempty"`
	Detail    string `json:"detail"`
}

// invalid is the problem of one thing in a body that breaks a rule.
func invalid(pointer, rule string) *problem {
	return &problem{code: invalidFields, fields: []fieldFault{{Pointer: pointer, Detail: rule}}}
}

// problemOf answers what err is to the one who asked.
//
// The rule for what is none of our words: 503 when a store could not be reached
// or was too slow, which passes, and 500 for all else, which is ours to repair.
func problemOf(err error) *problem {
	var own *problem
	var refusal *sale.Refusal
	var status *fiber.Error
	var throttle accounts.ErrThrottled
	var opened *catalog.Opened
	var faults sale.Faults
	switch {
	case errors.As(err, &own):
		return own
	case errors.As(err, &refusal) && answers[code(refusal.Code)].status != 0:
		return &problem{code: code(refusal.Code), retryAfter: refusal.RetryAfter}
	case errors.As(err, &throttle):
		return &problem{code: throttled, retryAfter: throttle.RetryAfter}
	case errors.As(err, &opened):
		return &problem{code: tooLate, fields: pointed(opened.Fields)}
	case errors.As(err, &faults):
		return &problem{code: invalidFields, fields: pointed(faults)}
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
	for _, rule := range rules {
		if errors.Is(err, rule.err) {
			return invalid(pointer(rule.field), rule.err.Error())
		}
	}
	if passes(err) {
		return &problem{code: unavailable}
	}
	return &problem{code: internal}
}

// pointed answers the faults of a sale as those of the body it was made of.
func pointed(faults sale.Faults) []fieldFault {
	fields := make([]fieldFault, len(faults))
	for i, fault := range faults {
		fields[i] = fieldFault{Pointer: pointer(fault.Field), Detail: fault.Rule}
	}
	return fields
}

// passes says whether err is a connection that broke, was refused or took too
// long. Drivers stay hidden below us: their own errors are known by what they
// wrap or say of themselves, and Postgres' by its standard SQLSTATE.
func passes(err error) bool {
	var network net.Error
	var unsent interface{ SafeToRetry() bool } // the connection was gone before anything was sent
	var state interface{ SQLState() string }
	switch {
	case errors.As(err, &unsent) && unsent.SafeToRetry():
		return true
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.As(err, &network):
		return true
	case errors.As(err, &state) && len(state.SQLState()) == 5:
		switch state.SQLState()[:2] {
		case "08", "25", "40", "53", "55", "57", "58": // connection, transaction timed out, rolled back, out of resources, lock not got, shutting down, its machine
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

// refuse answers err and says by which code. The error itself is for the log only.
func refuse(c *fiber.Ctx, err error) code {
	p := problemOf(err)
	answer := answers[p.code]
	answer.status = cmp.Or(p.status, answer.status)
	switch answer.status {
	case http.StatusUnauthorized:
		challenge := `Bearer realm="sluice"`
		if p.code == tokenExpired || p.code == tokenInvalid {
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
	return p.code
}

// wholeSeconds is d as Retry-After wants it, rounded up, at least 1.
func wholeSeconds(d time.Duration) string {
	return strconv.FormatInt(max(1, int64((d+time.Second-1)/time.Second)), 10)
}
