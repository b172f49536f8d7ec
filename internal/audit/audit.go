// Package audit proves, from nothing but what is stored, that Redis, Postgres and
// the log of batches tell one story.
//
// It compares only what stands at one watermark: Postgres in one repeatable-read
// snapshot, Redis in one script. Where the two differ a batch is on its way
// between them, so both are read again; a partition that will not hold still is
// busy, which is not broken. What Postgres says of itself is checked in any case.
//
//	books      sums over the tables: receipts, counters, wallets, entries      (SQL, all partitions in one snapshot)
//	partition  Redis against Postgres, sale by sale, at one watermark
//	log        the batches: an unbroken chain, decided again by sale.Decide, and equal to what is recorded
//	turns      the batches once more without Decide: whose turn it was, what was free, who held and until when,
//	           who waited, what it cost
//
// An Audit does all of it, once, and may take its time. A Patrol goes round for ever, by
// the same rules but for most of the books, and looks only at what is new and at sales that
// live; what it finds broken twice it suspends.
package audit

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"sluice/internal/ledger"
	"sluice/internal/partition"
)

// Rule is the word for what must hold; one closed set.
type Rule string

// The rules.
const (
	// Of a sale.
	Stock      Rule = "stock"      // free + held + sold = stock, nothing below 0, in Postgres and in Redis
	Projection Rule = "projection" // Redis says what Postgres says, at one watermark, to the last place of a line

	// Of the books.
	Units        Rule = "units"        // sold, held and waiting are what the purchases say
	Revenue      Rule = "revenue"      // revenue is what the confirmed purchases cost
	Limit        Rule = "limit"        // no buyer has more than the sale allows
	Refunds      Rule = "refunds"      // refunds and refunded bids are pairs, of one buyer and one sale
	Targets      Rule = "targets"      // so are payments, cancels and changes of slot, and what they are about
	Orders       Rule = "orders"       // whatever was held, or bought by a late payment, has its one order, and no other
	Wallets      Rule = "wallets"      // a balance is the sum of its entries
	Conservation Rule = "conservation" // all wallets, the source included, sum to 0
	Escrow       Rule = "escrow"       // an escrow holds its sale's revenue until the payout, then nothing
	Payments     Rule = "payments"     // what was bought is paid once, what was given back is paid back once, exactly
	Payouts      Rule = "payouts"      // a paid sale has its payout, to the seller and at most once
	Notices      Rule = "notices"      // a word is told once of a receipt, to its buyer, and is true
	Orphans      Rule = "orphans"      // no entry without a receipt that moves points, no receipt without a sale, no attendance without a booking

	// Of the log.
	Unreadable Rule = "unreadable" // a batch can be read
	Chain      Rule = "chain"      // batches follow one another up to the watermark, entries in stream order
	Replay     Rule = "replay"     // deciding a batch again gives what is recorded
	Continuity Rule = "continuity" // a batch stood on what the batches before it made, and so does the record
	Record     Rule = "record"     // receipts are what the log says of them, and came there step by step

	// Of the turns.
	Inversions Rule = "inversions" // nobody is sold out, or put in line, while there is enough for him and nobody waits for it
	Turns      Rule = "turns"      // what counts counts in its time, and has its units at its turn
	Line       Rule = "line"       // what is freed goes at once to the first in line, and nobody passes who must not
	Holds      Rule = "holds"      // a hold has its full time, is paid within it, and ends with it
	Price      Rule = "price"      // a purchase pays the price of its own time, less what its coupon is worth

	// Of the books and of the turns.
	Coupons Rule = "coupons" // a coupon is what its sale promised, used once, in its time, by its owner, against its seller
)

// Rules are all of them.
var Rules = []Rule{
	Stock, Projection,
	Units, Revenue, Limit, Refunds, Targets, Orders, Wallets, Conservation, Escrow, Payments, Payouts, Notices, Orphans,
	Unreadable, Chain, Replay, Continuity, Record,
	Inversions, Turns, Line, Holds, Price,
	Coupons,
}

// Verdict sums an audit up.
type Verdict string

// The verdicts.
const (
	OK     Verdict = "ok"
	Broken Verdict = "broken" // a rule is broken
	Busy   Verdict = "busy"   // no rule is broken, but some partition did not hold still to be compared
)

// Finding is one thing that breaks a rule.
type Finding struct {
	Rule      Rule   `json:"rule"`
	Partition int    `json:"partition"`      // Nowhere when it is of no partition
	Sale      int64  `json:"sale,omitempty"` // 0 when it is of no sale
	Detail    string `json:"detail"`
}

// Nowhere is the partition of a finding that is of none.
const Nowhere = -1

// Report is what an audit found.
type Report struct {
	Verdict  Verdict   `json:"verdict"`
	Broken   []Finding `json:"broken"`         // the first findingsMost of each rule
	Breaches int64     `json:"breaches"`       // all of them
	Busy     []int     `json:"busy,omitempty"` // partitions that did not hold still

	// How much was looked at.
	Partitions int   `json:"partitions"`
	Sales      int64 `json:"sales"`
	Receipts   int64 `json:"receipts"`
	Entries    int64 `json:"entries"` // of the ledger
	Batches    int64 `json:"batches"`
	Requests   int64 `json:"requests"` // replayed

	Oversold   int64 `json:"oversold"`   // units
	Unfinished int64 `json:"unfinished"` // requests queued at that moment: no fault while a consumer works
	Inversions int64 `json:"inversions"`

	TookMS int64 `json:"took_ms"`
}

// Rules answers the rules that are broken, each once, in alphabetical order.
func (r Report) Rules() []Rule {
	broken := map[Rule]bool{}
	for _, f := range r.Broken {
		broken[f.Rule] = true
	}
	return slices.Sorted(maps.Keys(broken))
}

// findingsMost is how many findings of one rule are told in full.
const findingsMost = 20

// Audit looks at both stores. It changes nothing and may run beside everything.
type Audit struct {
	store  *partition.Store
	ledger *ledger.Ledger
	alone  sync.Mutex // of Alone
}

// New answers an audit of both stores.
func New(store *partition.Store, ledger *ledger.Ledger) *Audit {
	return &Audit{store: store, ledger: ledger}
}

// Run audits everything. An error says that it could not be finished, not that
// something is broken.
func (a *Audit) Run(ctx context.Context) (Report, error) {
	n := &notes{breaches: map[Rule]int64{}}
	n.Broken = []Finding{} // in JSON a list, even of nothing
	n.Partitions = a.store.Partitions()
	return a.run(ctx, n, 0, n.Partitions)
}

// run audits the books, and the partitions from the one to before the other.
func (a *Audit) run(ctx context.Context, n *notes, from, to int) (Report, error) {
	began := time.Now()
	if err := a.books(ctx, n); err != nil {
		return n.Report, fmt.Errorf("audit the books: %w", err)
	}
	for p := from; p < to; p++ {
		if err := a.partition(ctx, n, p); err != nil {
			return n.Report, fmt.Errorf("audit partition %d: %w", p, err)
		}
	}
	n.sumUp(time.Since(began))
	return n.Report, nil
}

// notes is the report while it is written.
type notes struct {
	Report
	breaches map[Rule]int64
	heard    func(Finding) // of each; nil: nobody listens
	only     int64         // the sale that counts; 0: whatever is found
}

// sumUp ends the report.
func (n *notes) sumUp(took time.Duration) {
	switch {
	case n.Breaches > 0:
		n.Verdict = Broken
	case len(n.Report.Busy) > 0:
		n.Verdict = Busy
	default:
		n.Verdict = OK
	}
	n.TookMS = took.Milliseconds()
}

// found notes a breach of a rule.
func (n *notes) found(rule Rule, p int, sale int64, detail string, args ...any) {
	if n.only != 0 && sale != n.only {
		return
	}
	n.Breaches++
	n.breaches[rule]++
	finding := Finding{rule, p, sale, fmt.Sprintf(detail, args...)}
	if n.heard != nil {
		n.heard(finding)
	}
	if n.breaches[rule] <= findingsMost {
		n.Broken = append(n.Broken, finding)
	}
}
