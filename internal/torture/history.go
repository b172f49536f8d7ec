package torture

import (
	"cmp"
	"fmt"
	"slices"
	"sync"

	"sluice/client"
)

// Sighting is a receipt as a client was shown it.
type Sighting struct {
	AtUS      int64         `json:"at_us"` // when the answer was there, since the traffic began
	Receipt   string        `json:"receipt"`
	Status    client.Status `json:"status"`
	Reason    client.Reason `json:"reason,omitempty"`
	Quantity  int64         `json:"quantity,omitempty"`
	UnitPrice int64         `json:"unit_price,omitempty"`
	Amount    int64         `json:"amount,omitempty"`
	PayByMS   int64         `json:"pay_by_ms,omitempty"` // stream time, while held
}

// sameOutcome says whether a and b, of one status, tell the same.
func (a Sighting) sameOutcome(b Sighting) bool {
	a.AtUS, b.AtUS = 0, 0
	return a == b
}

// Request is everything that the clients learned of one Idempotency-Key. It has one
// writer at a time, so Seen is in the order of real time: each answer was there
// before the next question was asked.
type Request struct {
	Key     string      `json:"key"`
	Account int64       `json:"account"`
	Kind    client.Kind `json:"kind"`
	Verb    client.Verb `json:"verb"`
	Sale    int64       `json:"sale"`
	Grown   int64       `json:"grown,omitempty"` // units that a change asks for
	Asked   Asked       `json:"asked,omitzero"`

	SentUS     int64 `json:"sent_us,omitempty"`     // when it was first sent, since the traffic began
	AnsweredUS int64 `json:"answered_us,omitempty"` // when the first answer with its receipt was there
	StreamMS   int64 `json:"stream_ms,omitempty"`   // the stream time that its receipt names

	Earlier []int64 `json:"earlier,omitempty"` // stream times that it named before: then it was lost, and taken in again

	Answers    []string   `json:"answers,omitempty"`    // the receipt that each sending was answered with
	Refused    string     `json:"refused,omitempty"`    // the code of the first sending's refusal
	Doubtful   bool       `json:"doubtful,omitempty"`   // refused, while an earlier sending had not been answered
	Forgotten  string     `json:"forgotten,omitempty"`  // the code of a refusal after the key had a receipt
	Unanswered string     `json:"unanswered,omitempty"` // the error with which patience ended
	Vanished   string     `json:"vanished,omitempty"`   // the code of a receipt that could not be read any more
	Seen       []Sighting `json:"seen,omitempty"`
	Lost       *Loss      `json:"lost,omitempty"`       // when its receipt was answered as lost
	VerdictMS  float64    `json:"verdict_ms,omitempty"` // from the first sending to the first decided sighting
}

// Asked is what a request said, as it went over the wire.
type Asked struct {
	Quantity   int64  `json:"quantity,omitempty"` // units, also those that a change adds
	Price      int64  `json:"price,omitempty"`    // of a bid
	Exact      bool   `json:"exact,omitempty"`
	Coupon     string `json:"coupon,omitempty"`
	Target     string `json:"target,omitempty"`       // the receipt that it is about
	ClosesAtMS int64  `json:"closes_at_ms,omitempty"` // of a change
}

// accepted says that somebody got a receipt.
func (r *Request) accepted() bool { return len(r.Answers) > 0 }

// last is the newest sighting.
func (r *Request) last() Sighting {
	if len(r.Seen) == 0 {
		return Sighting{}
	}
	return r.Seen[len(r.Seen)-1]
}

// Belonging is a receipt in the list of an account's requests that had an effect,
// read after everything has ended.
type Belonging struct {
	Account int64         `json:"account"`
	Receipt string        `json:"receipt"`
	Status  client.Status `json:"status"`
}

// History is what the clients know in the end.
type History struct {
	Requests   []*Request      `json:"requests"`
	Stock      map[int64]int64 `json:"stock"`      // units offered, by sale
	Sales      []client.Sale   `json:"sales"`      // as they were offered; those that are not known so are missing
	Belongings []Belonging     `json:"belongings"` // of all accounts
	Quiet      []Quiet         `json:"quiet"`      // sales that nobody was told of

	Changes []Change `json:"changes,omitempty"` // of masters, in a cluster
	Outages []Outage `json:"outages,omitempty"` // the same, of whole shards

	Waiters []*Waiter     `json:"waiters,omitempty"`
	Closed  []client.Sale `json:"closed,omitempty"` // how the sales of Waiters stand in the end
}

// record is a History while it is written.
type record struct {
	mu sync.Mutex
	History
}

func (r *record) begin(request Request) *Request {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.Requests = append(r.Requests, &request)
	return &request
}

func (r *record) offered(sale, stock int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.Stock[sale] = stock
}

// Rule is the word for what no client may ever see.
type Rule string

// The rules.
const (
	Answered   Rule = "answered"    // every request is answered in the end
	Refusals   Rule = "refusals"    // a refusal is one of business: sold_out, not_open, closed
	Ends       Rule = "ends"        // every accepted request ends in an outcome
	Known      Rule = "known"       // a receipt that was given can be read ever after
	NoneLost   Rule = "none_lost"   // Redis syncs every write here, so nothing is lost, and nothing is rejected for our own faults
	OneReceipt Rule = "one_receipt" // one key, one receipt; one receipt, one key
	Remembered Rule = "remembered"  // a key that has a receipt is answered with it
	Forward    Rule = "forward"     // a status only moves forward
	Kept       Rule = "kept"        // an outcome that was shown stays what it was
	Unsold     Rule = "oversold"    // what buyers have of a sale is at most its stock
	Effects    Rule = "effects"     // what an account has is what its requests say: nothing more, nothing less

	Linearizable Rule = "linearizable" // one order, which the clients' clock allows, explains all that was shown of a sale
)

// Violation is one thing that breaks a rule.
type Violation struct {
	Rule   Rule   `json:"rule"`
	Key    string `json:"key,omitempty"`
	Sale   int64  `json:"sale,omitempty"`
	Detail string `json:"detail"`
}

// after is what a status may be seen as next. States may pass unseen, so it is the
// transitive closure of the picture in package sale.
var after = map[client.Status][]client.Status{
	client.Queued:    {client.Confirmed, client.Held, client.Waiting, client.Rejected, client.Expired, client.Cancelled, client.Refunded},
	client.Waiting:   {client.Held, client.Confirmed, client.Cancelled, client.Rejected, client.Expired, client.Refunded},
	client.Held:      {client.Confirmed, client.Expired, client.Cancelled, client.Refunded},
	client.Confirmed: {client.Refunded, client.Cancelled},
}

// follows says whether a receipt may be seen as later after it was seen as before.
func follows(before, later client.Status) bool { return slices.Contains(after[before], later) }

// refusals are those with which a request may rightly end at the door.
var refusals = []string{string(client.CodeSoldOut), string(client.CodeNotOpen), string(client.CodeClosed)}

// faults are reasons that nobody may be given here.
var faults = []client.Reason{client.ReasonLost, client.ReasonInternal, client.ReasonUnknownSale}

// Check finds everything in h that no client may see. It is a pure function: what it
// says of a history can be said again from the file, but for how many sales a slower
// machine leaves undecided.
func Check(h History) []Violation {
	_, found := check(h)
	return found
}

// check is Check, and how far the order of requests was judged.
func check(h History) (Linear, []Violation) {
	c := checker{owner: map[string]*Request{}}
	for _, r := range h.Requests {
		c.request(r)
	}
	c.stock(h)
	c.belongings(h)
	l, found := linearize(h)
	return l, append(c.found, found...)
}

type checker struct {
	owner map[string]*Request // of each receipt
	found []Violation
}

func (c *checker) broken(rule Rule, r *Request, detail string, args ...any) {
	c.found = append(c.found, Violation{rule, r.Key, r.Sale, fmt.Sprintf(detail, args...)})
}

// request checks one key by itself.
func (c *checker) request(r *Request) {
	switch {
	case r.Unanswered != "":
		c.broken(Answered, r, "%s", r.Unanswered)
	case !r.accepted() && !slices.Contains(refusals, r.Refused):
		c.broken(Refusals, r, "refused with %q", r.Refused)
	}
	if !r.accepted() {
		return
	}
	if r.Forgotten != "" {
		c.broken(Remembered, r, "%s was given, and later the key refused with %q", r.Answers[0], r.Forgotten)
	}
	if r.Vanished != "" {
		c.broken(Known, r, "%s was given, and later: %s", r.Answers[0], r.Vanished)
	}
	for _, id := range slices.Compact(slices.Sorted(slices.Values(r.Answers))) {
		if id != r.Answers[0] {
			c.broken(OneReceipt, r, "answered with %s and with %s", r.Answers[0], id)
		}
		if other := c.owner[id]; other != nil {
			c.broken(OneReceipt, r, "has the receipt %s of the key %s", id, other.Key)
		}
		c.owner[id] = r
	}
	for _, at := range r.Earlier {
		c.broken(NoneLost, r, "%s was taken in at %d, and again at %d", r.Answers[0], at, r.StreamMS)
	}
	c.statuses(r)
	switch last := r.last(); {
	case !(client.Receipt{Status: last.Status}).Settled():
		c.broken(Ends, r, "%s is %s in the end", r.Answers[0], cmp.Or(last.Status, "unseen"))
	case slices.Contains(faults, last.Reason):
		c.broken(NoneLost, r, "%s is rejected (%s)", r.Answers[0], last.Reason)
	}
}

// statuses checks what was seen of a request, one after the other.
func (c *checker) statuses(r *Request) {
	for i := 1; i < len(r.Seen); i++ {
		before, now := r.Seen[i-1], r.Seen[i]
		switch {
		case before.Status == now.Status:
			if now.Status != client.Queued && now.Receipt == before.Receipt && !before.sameOutcome(now) {
				c.broken(Kept, r, "%+v was shown, then %+v", before, now)
			}
		case slices.Contains(after[before.Status], now.Status):
		case len(after[before.Status]) == 0:
			c.broken(Kept, r, "%s (%s) was shown, then %s (%s)", before.Status, before.Reason, now.Status, now.Reason)
		default:
			c.broken(Forward, r, "%s was shown, then %s", before.Status, now.Status)
		}
	}
}

// stock adds up what buyers have of each sale. Refunded units are not sold again.
func (c *checker) stock(h History) {
	has, stock := map[int64]int64{}, map[int64]int64{}
	for sale, units := range h.Stock {
		stock[sale] = units
	}
	for _, r := range h.Requests {
		switch last := r.last(); {
		case r.Verb == client.VerbChange:
			stock[r.Sale] += r.Grown // whatever became of it: a bound must not be too low
		case last.Status == client.Confirmed || last.Status == client.Held || last.Status == client.Refunded:
			has[r.Sale] += last.Quantity // a payment, cancel or refund has none, but for one that bought anew
		}
	}
	for sale, units := range has {
		if most := stock[sale]; units > most {
			c.found = append(c.found, Violation{Unsold, "", sale, fmt.Sprintf("buyers have %d units of %d", units, most)})
		}
	}
}

// belongings compares what accounts have with what their requests say.
func (c *checker) belongings(h History) {
	listed := map[string]Belonging{}
	for _, b := range h.Belongings {
		listed[b.Receipt] = b
		switch r := c.owner[b.Receipt]; {
		case r == nil:
			c.found = append(c.found, Violation{Rule: Effects, Detail: fmt.Sprintf("account %d has the receipt %s (%s), which no key was answered with", b.Account, b.Receipt, b.Status)})
		case r.Account != b.Account:
			c.broken(Effects, r, "%s is of account %d, and in the list of %d", b.Receipt, r.Account, b.Account)
		case r.last().Status != b.Status:
			c.broken(Effects, r, "%s is %s, and %s in the list of its account", b.Receipt, r.last().Status, b.Status)
		}
	}
	for _, r := range h.Requests {
		last := r.last()
		if _, ok := listed[last.Receipt]; !ok && last.Receipt != "" && last.Status != client.Rejected && r.Verb != client.VerbChange {
			c.broken(Effects, r, "%s is %s, and not in the list of its account", last.Receipt, last.Status)
		}
	}
}
