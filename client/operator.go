package client

import (
	"context"
	"encoding/json"
	"iter"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// What only an admin may ask; others are [CodeForbidden].

const (
	operationsPath = "/v1/operations"
	lettersPath    = operationsPath + "/dead-letters"
)

// Operations is how it all is. What did not answer is nil, and what only that knows.
type Operations struct {
	Version     string           `json:"version"` // of the process that answered
	At          time.Time        `json:"at"`      // when it looked
	Redis       *RedisState      `json:"redis,omitempty"`
	Partitions  []PartitionState `json:"partitions,omitempty"`   // by number
	DeadLetters int64            `json:"dead_letters,omitempty"` // in all partitions
	Postgres    *PostgresState   `json:"postgres,omitempty"`
	Sales       *SalesOperations `json:"sales,omitempty"`
}

// RedisState is what Redis says of itself; nil is what it does not tell. Of a cluster it
// is the memory of the fullest master, the least replicas, each flag when all have it, and
// the sum of the rest.
type RedisState struct {
	Mode       string `json:"mode"`                 // server, sentinel or cluster
	Masters    int    `json:"masters"`              // that have slots
	Reached    int    `json:"reached"`              // of those, that answered
	Slots      int64  `json:"slots"`                // that are served, of 16384
	Memory     *int64 `json:"memory,omitempty"`     // bytes
	MemoryMax  *int64 `json:"memory_max,omitempty"` // bytes; 0: no limit
	NoEviction *bool  `json:"noeviction,omitempty"` // nothing is thrown away when memory is full
	AOF        *bool  `json:"aof,omitempty"`        // it writes an append-only file
	AOFOK      *bool  `json:"aof_ok,omitempty"`     // and its last write went well
	RDBOK      *bool  `json:"rdb_ok,omitempty"`     // its last snapshot went well, or there was none
	Replicas   *int64 `json:"replicas,omitempty"`
	Evicted    *int64 `json:"evicted,omitempty"` // keys
	Clients    *int64 `json:"clients,omitempty"` // connections
}

// PostgresState is what Postgres says of itself.
type PostgresState struct {
	Size           int64 `json:"size"` // bytes on disk
	Connections    int64 `json:"connections"`
	MaxConnections int64 `json:"max_connections"`
}

// PartitionState is how one partition is.
type PartitionState struct {
	Partition   int           `json:"partition"`
	Known       bool          `json:"-"`               // its server has answered: else the rest is zero
	Owner       string        `json:"owner,omitempty"` // consumer; "" when it has none
	Depth       int64         `json:"depth"`           // requests admitted and not applied
	Oldest      time.Duration `json:"-"`               // age of the oldest of them
	Generation  int64         `json:"generation"`      // 0: Redis has no data of it
	Loading     bool          `json:"loading"`
	DeadLetters int64         `json:"dead_letters"`
}

// UnmarshalJSON reads the state of a partition as the API writes it.
func (p *PartitionState) UnmarshalJSON(text []byte) error {
	type plain PartitionState
	wire := struct {
		*plain
		Depth    *int64 `json:"depth"`
		OldestMS int64  `json:"oldest_ms"`
	}{plain: (*plain)(p)}
	err := json.Unmarshal(text, &wire)
	p.Known, p.Oldest = wire.Depth != nil, milliseconds(wire.OldestMS)
	if p.Known {
		p.Depth = *wire.Depth
	}
	return err
}

// SalesOperations is how the sales go.
type SalesOperations struct {
	Open      int64      `json:"open"`
	Suspended int64      `json:"suspended"`
	Busiest   []BusySale `json:"busiest"` // at most 20
}

// BusySale is one of the open sales in which most has moved lately.
type BusySale struct {
	Sale      int64     `json:"sale"`
	Kind      Kind      `json:"kind"`
	State     State     `json:"state"`
	Seller    int64     `json:"seller"` // account
	Title     string    `json:"title"`
	Partition int       `json:"partition"`
	Price     int64     `json:"price"` // points per unit
	Stock     Stock     `json:"stock"`
	ClosesAt  time.Time `json:"closes_at"`
}

// Operations answers how it all is. The API looks at most once a second.
func (c *Client) Operations(ctx context.Context) (o Operations, err error) {
	err = c.do(ctx, &call{method: http.MethodGet, path: operationsPath, into: &o})
	return o, err
}

// DeadLetter is a request that could not be settled. Its receipt is rejected as
// [ReasonInternal]. What is not known of it is zero.
type DeadLetter struct {
	ID         string            `json:"letter"`
	Partition  int               `json:"partition"`
	Receipt    string            `json:"receipt,omitempty"` // ID
	Sale       int64             `json:"sale,omitempty"`
	Buyer      int64             `json:"buyer,omitempty"` // account that asked
	Verb       Verb              `json:"verb,omitempty"`
	Quantity   int64             `json:"quantity,omitempty"`   // units
	Price      int64             `json:"price,omitempty"`      // points per unit, of a bid
	RequestID  string            `json:"request_id,omitempty"` // as in the logs
	Cause      string            `json:"cause"`
	Attempts   int               `json:"attempts"` // to settle it
	AdmittedAt time.Time         `json:"admitted_at,omitzero"`
	DiedAt     time.Time         `json:"died_at"`
	Payload    map[string]string `json:"payload,omitempty"` // the fields of its entry, escaped like strings of Go; not in lists
}

type letterPage struct {
	Letters []DeadLetter `json:"letters"`
	Next    string       `json:"next_cursor"`
}

// DeadLetters are all there are, partition by partition, the oldest first.
func (c *Client) DeadLetters(ctx context.Context) iter.Seq2[DeadLetter, error] {
	return pages(ctx, c, lettersPath, nil, func(p *letterPage) ([]DeadLetter, string) { return p.Letters, p.Next })
}

// DeadLetter answers one of them, with its payload. [CodeUnknownLetter] when it is not
// there, or not any more.
func (c *Client) DeadLetter(ctx context.Context, id string) (l DeadLetter, err error) {
	err = c.do(ctx, &call{method: http.MethodGet, path: letterPath(id), into: &l})
	return l, err
}

// ReplayDeadLetter has the request of a dead letter queued once more and answers the ID of
// its new receipt, which [Client.ReceiptOwner] shows. The letter is dropped: when the
// answer of an earlier attempt was lost, this is [CodeUnknownLetter], and it was asked
// once. [CodeLetterUnreadable] when nobody knows what it asks.
func (c *Client) ReplayDeadLetter(ctx context.Context, id string) (string, error) {
	return c.order(ctx, &call{method: http.MethodPost, path: letterPath(id) + "/replay"})
}

// DropDeadLetter forgets a dead letter, and with it what was asked.
func (c *Client) DropDeadLetter(ctx context.Context, id string) error {
	k := &call{method: http.MethodDelete, path: letterPath(id)}
	err := c.do(ctx, k)
	if CodeOf(err) == CodeUnknownLetter && k.unsure {
		return nil // an earlier attempt has dropped it
	}
	return err
}

func letterPath(id string) string { return lettersPath + "/" + url.PathEscape(id) }

// Verdict is what an audit comes to.
type Verdict string

// The verdicts.
const (
	VerdictOK     Verdict = "ok"
	VerdictBroken Verdict = "broken" // a rule is broken
	VerdictBusy   Verdict = "busy"   // none is, but some partition did not hold still to be compared: audit again
)

// AuditReport is what an audit found.
type AuditReport struct {
	Verdict  Verdict        `json:"verdict"`
	Broken   []AuditFinding `json:"broken"`   // the first 20 of each rule
	Breaches int64          `json:"breaches"` // all of them
	Busy     []int          `json:"busy,omitempty"`

	// How much was looked at.
	Partitions int   `json:"partitions"`
	Sales      int64 `json:"sales"`
	Receipts   int64 `json:"receipts"`
	Entries    int64 `json:"entries"` // of the ledger
	Batches    int64 `json:"batches"`
	Requests   int64 `json:"requests"` // decided again

	Oversold   int64         `json:"oversold"`   // units
	Unfinished int64         `json:"unfinished"` // requests that are queued: no fault
	Inversions int64         `json:"inversions"`
	Took       time.Duration `json:"-"`
}

// AuditFinding is one thing that is broken.
type AuditFinding struct {
	Rule      string `json:"rule"`
	Partition int    `json:"partition"`      // -1: of none
	Sale      int64  `json:"sale,omitempty"` // 0: of none
	Detail    string `json:"detail"`
}

// UnmarshalJSON reads a report as the API writes it.
func (r *AuditReport) UnmarshalJSON(text []byte) error {
	type plain AuditReport
	wire := struct {
		*plain
		TookMS int64 `json:"took_ms"`
	}{plain: (*plain)(r)}
	err := json.Unmarshal(text, &wire)
	r.Took = milliseconds(wire.TookMS)
	return err
}

// auditMost is how long the API takes for an audit.
const auditMost = 30 * time.Second

// Audit has one sale audited, or everything when it is 0. It takes up to half a minute:
// what takes longer is [CodeAuditTooLong], and [CodeAuditUnderWay] says that somebody else
// is having one. It is asked once: trying again is the caller's.
func (c *Client) Audit(ctx context.Context, sale int64) (r AuditReport, err error) {
	what := struct {
		Sale int64 `json:"sale,omitempty"`
	}{sale}
	err = c.do(ctx, &call{method: http.MethodPost, path: operationsPath + "/audits", body: what, into: &r, hold: auditMost, single: true})
	return r, err
}

// SuspendSale has a sale sell nothing more, and answers the ID of what was queued: it takes
// its turn in the stream, and then the state of the sale is [Suspended]. Who has something of
// it keeps that, or gives it back. [CodeNotOpen] before it opens. Asked twice, nothing more
// happens.
func (c *Client) SuspendSale(ctx context.Context, sale int64) (string, error) {
	return c.order(ctx, &call{method: http.MethodPost, path: operationsPath + "/sales/" + strconv.FormatInt(sale, 10) + "/suspend"})
}

// ResumeSale has a suspended sale sell on, in the same way, when an audit of it finds nothing
// broken; it takes as long as [Client.Audit]. [CodeSaleBroken] when it does, [CodeAuditUnsure]
// when it could not tell; with force it is not audited.
func (c *Client) ResumeSale(ctx context.Context, sale int64, force bool) (string, error) {
	how := struct {
		Force bool `json:"force"`
	}{force}
	return c.order(ctx, &call{method: http.MethodPost, path: operationsPath + "/sales/" + strconv.FormatInt(sale, 10) + "/resume", body: how, hold: auditMost, single: true})
}

// order asks for what is queued under a receipt of ours.
func (c *Client) order(ctx context.Context, k *call) (string, error) {
	var queued struct {
		Receipt string `json:"receipt"`
	}
	k.into = &queued
	err := c.do(ctx, k)
	return queued.Receipt, err
}

// ReceiptOwner is a receipt, and whose it is.
type ReceiptOwner struct {
	Receipt Receipt  `json:"receipt"`
	Account *Profile `json:"account,omitempty"` // nil: it is deleted
}

// ReceiptOwner answers whose a receipt is. The log of the API notes that somebody looked.
func (c *Client) ReceiptOwner(ctx context.Context, id string) (o ReceiptOwner, err error) {
	err = c.do(ctx, &call{method: http.MethodGet, path: operationsPath + "/receipts/" + url.PathEscape(id), into: &o})
	return o, err
}
