package partition

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/google/uuid"

	"sluice/internal/sale"
)

// Lead is what a new owner finds in Redis.
type Lead struct {
	Empty      bool // Redis has no data of the partition
	Generation int64
	Applied    sale.EntryID
	AppliedSeq int64
	Seq        int64 // last admitted
}

// Lead announces epoch, shutting out the owners before it, and the generation
// that requests admitted from now on belong to.
func (s *Store) Lead(ctx context.Context, p int, epoch, generation int64) (Lead, error) {
	answer, err := s.run(ctx, s.owners, "lead", []string{slot(p)}, epoch, generation)
	if err != nil {
		return Lead{}, fmt.Errorf("lead partition %d: %w", p, err)
	}
	words, ok := answer.([]any)
	if !ok || len(words) != 4 {
		return Lead{}, unknown("lead", answer)
	}
	if text(words[0]) == "" {
		return Lead{Empty: true}, nil
	}
	applied, err := sale.ParseEntryID(text(words[1]))
	return Lead{Generation: number(words[0]), Applied: applied, AppliedSeq: number(words[2]), Seq: number(words[3])}, err
}

// Rebuild opens partition p under a new generation, right behind the settled
// watermark. It does nothing when the partition has data.
func (s *Store) Rebuild(ctx context.Context, p int, epoch, generation int64, applied sale.EntryID, seq int64) error {
	mark := sale.Request{Verb: sale.Rebuilt}.Encode()
	answer, err := s.run(ctx, s.owners, "rebuild", []string{slot(p), streamKey(p)}, epoch, generation, applied.String(), seq, mark)
	if err != nil {
		return fmt.Errorf("rebuild partition %d: %w", p, err)
	}
	if answer != "rebuilt" && answer != "there" {
		return unknown("rebuild", answer)
	}
	return nil
}

// View answers how the sales stand at the watermark prev, each with the units of
// these buyers. A sale that Redis lacks is missing. ErrBehind or ErrAhead when
// Redis stands elsewhere, ErrFenced when the epoch is over.
func (s *Store) View(ctx context.Context, p int, epoch int64, prev sale.EntryID, buyers map[int64][]int64) (sale.State, error) {
	keys, args, sales := []string{slot(p)}, []any{epoch, prev.String()}, make([]int64, 0, len(buyers))
	for id, of := range buyers {
		keys = append(keys, saleKey(p, id), buyersKey(p, id))
		args = append(args, len(of))
		for _, buyer := range of {
			args = append(args, buyer)
		}
		sales = append(sales, id)
	}
	answer, err := s.run(ctx, s.owners, "view", keys, args...)
	if err != nil {
		return nil, fmt.Errorf("view partition %d: %w", p, err)
	}
	words, ok := answer.([]any)
	switch {
	case ok && len(words) == 1 && text(words[0]) == "behind":
		return nil, ErrBehind
	case ok && len(words) == 1 && text(words[0]) == "ahead":
		return nil, ErrAhead
	case !ok || len(words) != 1+2*len(sales) || text(words[0]) != "view":
		return nil, unknown("view", answer)
	}
	state := sale.State{}
	for i, id := range sales {
		fields, _ := words[1+2*i].([]any)
		units, _ := words[2+2*i].([]any)
		if len(fields) == 0 {
			continue
		}
		stand, err := parseStand(p, id, fields)
		if err != nil {
			return nil, err
		}
		if len(units) != len(buyers[id]) {
			return nil, unknown("view", answer)
		}
		for j, buyer := range buyers[id] {
			if n := number(units[j]); n != 0 {
				stand.Buyers[buyer] = n
			}
		}
		state[id] = stand
	}
	return state, nil
}

// Apply makes a settled batch true in Redis, once: a second call changes
// nothing. ErrBehind when batches before it are missing, ErrFenced when the epoch
// is over, ErrBroken when it does not fit. epoch is the caller's, drain what it
// settles per second.
func (s *Store) Apply(ctx context.Context, epoch int64, b sale.Batch, drain float64) error {
	p := b.Partition
	keys := []string{slot(p), streamKey(p), rejectedKey(p, 0), rejectedKey(p, 1), deadKey(p)}
	var announced []byte
	rejectedKeys, rejectedArgs, nRejected := []string(nil), []any(nil), 0

	closes := make(map[int64]sale.Instant, len(b.Effects.Sales))
	args := []any{len(b.Effects.Sales)}
	for _, e := range b.Effects.Sales {
		closes[e.Sale] = e.ClosesAt
		keys = append(keys, saleKey(p, e.Sale), buyersKey(p, e.Sale))
		expiry := max(e.ClosesAt, b.Last.At).Add(sale.MaxRefundWindow)
		if stand := b.State[e.Sale]; stand != nil {
			expiry = saleExpiry(stand.Sale, b.Last.At)
		}
		args = append(args, e.Free, e.Held, e.Sold, e.Stock, string(e.Phase), flag(e.PaidOut), flag(e.Exhausted),
			int64(e.ClosesAt), int64(expiry), len(e.Buyers))
		for _, of := range e.Buyers {
			args = append(args, of.Buyer, of.Units)
		}
	}

	decided, nDecided := []any(nil), 0
	for _, r := range append(b.Receipts(), b.Standing()...) {
		announced = append(announced, r.ID[:]...)
		if r.Status == sale.Rejected {
			rejectedKeys = append(rejectedKeys, receiptKey(p, r.ID))
			rejectedArgs = append(rejectedArgs, r.ID[:], record(r))
			nRejected++
			continue
		}
		keys = append(keys, receiptKey(p, r.ID))
		decided = append(decided, record(r), int64(max(closes[r.Sale], b.Last.At).Add(receiptGrace)))
		nDecided++
	}
	args = append(append(args, nDecided), decided...)
	keys = append(keys, rejectedKeys...)
	args = append(append(args, nRejected), rejectedArgs...)

	var dead []any
	for _, e := range b.Entries {
		if e.Verb == 0 {
			dead = append(dead, e.ID.String())
		}
	}
	args = append(append(args, len(dead)), dead...)

	head := []any{epoch, b.Prev.String(), b.Last.String(), b.Seq, int64(drain), rejectedMost, rejectedOld.Milliseconds(), channel(p), announced}
	answer, err := s.run(ctx, s.owners, "apply", keys, append(head, args...)...)
	if err != nil {
		return fmt.Errorf("apply to partition %d: %w", p, err)
	}
	switch answer {
	case "applied", "again":
		return nil
	case "behind":
		return ErrBehind
	}
	return unknown("apply", answer)
}

// saleExpiry is when Redis may forget a sale; it is loaded again when needed.
func saleExpiry(s sale.Sale, now sale.Instant) sale.Instant {
	return max(s.PayoutAt(), now).Add(saleGrace)
}

func flag(b bool) int {
	if b {
		return 1
	}
	return 0
}

// standFields answers the hash of a sale: field, value, …
func standFields(s *sale.Stand) []any {
	return []any{
		"kind", string(s.Kind), "seller", s.Seller, "escrow", s.Escrow, "title", s.Title, "description", s.Description,
		"policy", string(s.Price.Policy), "start_price", s.Price.Start, "drop", s.Price.Drop, "rate", s.Price.Rate,
		"period_ms", s.Price.Period.Milliseconds(), "limit", s.Limit, "opens_at", int64(s.OpensAt), "closes_at", int64(s.ClosesAt),
		"refund_ms", s.RefundWindow.Milliseconds(), "show_stock", flag(s.ShowStock), "stock", s.Stock,
		"phase", string(s.Phase), "free", s.Free, "held", s.Held, "sold", s.Sold,
		"paid_out", flag(s.PaidOut), "exhausted", flag(s.Exhausted()),
	}
}

// parseStand reads the hash of a sale. A missing or unreadable field is an error.
func parseStand(p int, id int64, flat []any) (*sale.Stand, error) {
	fields := make(map[string]string, len(flat)/2)
	for i := 0; i+1 < len(flat); i += 2 {
		fields[text(flat[i])] = text(flat[i+1])
	}
	var missing string
	word := func(name string) string {
		value, ok := fields[name]
		if !ok {
			missing = name
		}
		return value
	}
	integer := func(name string) int64 {
		n, err := strconv.ParseInt(word(name), 10, 64)
		if err != nil {
			missing = name
		}
		return n
	}
	stand := &sale.Stand{
		Sale: sale.Sale{
			ID: id, Partition: p, Kind: sale.Kind(word("kind")), Seller: integer("seller"), Escrow: integer("escrow"), Title: word("title"), Description: fields["description"],
			Price: sale.Price{
				Policy: sale.Policy(word("policy")), Start: integer("start_price"), Drop: integer("drop"), Rate: integer("rate"),
				Period: time.Duration(integer("period_ms")) * time.Millisecond,
			},
			Stock: integer("stock"), Limit: integer("limit"), OpensAt: sale.Instant(integer("opens_at")), ClosesAt: sale.Instant(integer("closes_at")),
			RefundWindow: time.Duration(integer("refund_ms")) * time.Millisecond, ShowStock: integer("show_stock") == 1,
		},
		Phase: sale.Phase(word("phase")), Free: integer("free"), Held: integer("held"), Sold: integer("sold"),
		PaidOut: integer("paid_out") == 1, Buyers: map[int64]int64{},
	}
	if missing == "" && stand.Price.Period <= 0 {
		missing = "period_ms"
	}
	if missing != "" {
		return nil, fmt.Errorf("%w: sale %d has no readable %s", ErrBroken, id, missing)
	}
	return stand, nil
}

// idsOf splits an announcement into receipt IDs.
func idsOf(raw string) []uuid.UUID {
	ids := make([]uuid.UUID, 0, len(raw)/16)
	for ; len(raw) >= 16; raw = raw[16:] {
		ids = append(ids, uuid.UUID([]byte(raw[:16])))
	}
	return ids
}
