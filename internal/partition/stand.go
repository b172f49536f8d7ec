package partition

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"time"

	"sluice/internal/sale"
)

// standFields answers the hash of a sale: field, value, … What only some sales
// have is left out where it is nothing.
func standFields(s *sale.Stand) []any {
	fields := []any{
		"kind", string(s.Kind), "seller", s.Seller, "escrow", s.Escrow, "title", s.Title, "description", s.Description,
		"policy", string(s.Price.Policy), "start_price", s.Price.Start, "drop", s.Price.Drop, "rate", s.Price.Rate,
		"period_ms", s.Price.Period.Milliseconds(), "limit", s.Limit, "opens_at", int64(s.OpensAt), "closes_at", int64(s.ClosesAt),
		"refund_ms", s.RefundWindow.Milliseconds(), "show_stock", flag(s.ShowStock), "stock", s.Stock,
		"phase", string(s.Phase), "free", s.Free, "held", s.Held, "sold", s.Sold,
		"paid_out", flag(s.PaidOut), "exhausted", flag(s.Exhausted()),
	}
	for _, term := range terms(s) {
		if *term.value != 0 {
			fields = append(fields, term.field, *term.value)
		}
	}
	if s.Hold != 0 {
		fields = append(fields, "hold_ms", s.Hold.Milliseconds())
	}
	if s.Suspended {
		fields = append(fields, "suspended", flag(true))
	}
	return fields
}

// term is a number of a sale that its hash has unless it is 0.
type term struct {
	field string
	value *int64
}

// terms are those of s.
func terms(s *sale.Stand) []term {
	return []term{
		{"waiting", &s.Waiting}, {"line_most", &s.LineMost}, {"max_bypass", &s.MaxBypass}, {"amount_off", &s.AmountOff},
		{"valid_from", (*int64)(&s.ValidFrom)}, {"valid_until", (*int64)(&s.ValidUntil)}, {"starts_at", (*int64)(&s.StartsAt)}, {"store", &s.Store},
	}
}

// parseStand reads the hash of a sale. An unreadable field is an error, and so is a
// missing one, but for those that the release before did not have, and one that the
// rules could not work with.
func parseStand(p int, id int64, flat []any) (*sale.Stand, error) {
	if len(flat)%2 != 0 {
		return nil, fmt.Errorf("%w: sale %d has a field without a value", ErrBroken, id)
	}
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
	optional := func(name string) int64 {
		if _, ok := fields[name]; !ok {
			return 0
		}
		return integer(name)
	}
	length := func(name string, ms int64) time.Duration {
		if ms < 0 || ms > math.MaxInt64/int64(time.Millisecond) {
			missing = name
		}
		return time.Duration(ms) * time.Millisecond
	}
	stand := &sale.Stand{
		Sale: sale.Sale{
			ID: id, Partition: p, Kind: sale.Kind(word("kind")), Seller: integer("seller"), Escrow: integer("escrow"), Title: word("title"), Description: fields["description"],
			Price: sale.Price{
				Policy: sale.Policy(word("policy")), Start: integer("start_price"), Drop: integer("drop"), Rate: integer("rate"),
				Period: length("period_ms", integer("period_ms")),
			},
			Stock: integer("stock"), Limit: integer("limit"), OpensAt: sale.Instant(integer("opens_at")), ClosesAt: sale.Instant(integer("closes_at")),
			RefundWindow: length("refund_ms", integer("refund_ms")), ShowStock: integer("show_stock") == 1,
			Hold: length("hold_ms", optional("hold_ms")),
		},
		Phase: sale.Phase(word("phase")), Free: integer("free"), Held: integer("held"), Sold: integer("sold"),
		PaidOut: integer("paid_out") == 1, Suspended: optional("suspended") == 1, Buyers: map[int64]int64{},
	}
	for _, term := range terms(stand) {
		*term.value = optional(term.field)
	}
	price := stand.Price
	// The log knows no other words: a batch decided on one could be written and never
	// read again.
	for name, ok := range map[string]bool{
		"kind": slices.Contains(sale.Kinds, stand.Kind), "policy": slices.Contains(sale.Policies, price.Policy), "phase": slices.Contains(sale.Phases, stand.Phase),
		"period_ms": price.Policy == sale.Fixed || price.Period > 0,
		"drop":      price.Policy != sale.Constant || price.Drop > 0,
		"rate":      price.Policy != sale.Percentage || price.Rate > 0,
	} {
		if missing == "" && !ok {
			missing = name
		}
	}
	if missing != "" {
		return nil, fmt.Errorf("%w: sale %d has no readable %s", ErrBroken, id, missing)
	}
	return stand, nil
}

// parsePlaces puts what a script answered of the holds and the line of a sale into
// its stand.
func parsePlaces(stand *sale.Stand, holds, line any) (err error) {
	if stand.Holds, err = places(holds); err != nil {
		return fmt.Errorf("holds of sale %d: %w", stand.ID, err)
	}
	if stand.Line, err = places(line); err != nil {
		return fmt.Errorf("line of sale %d: %w", stand.ID, err)
	}
	return nil
}

// count reads a number that a hash may not have.
func count(word any) (n int64, ok bool) {
	switch w := word.(type) {
	case nil:
		return 0, true
	case int64:
		return w, true
	case string:
		n, err := strconv.ParseInt(w, 10, 64)
		return n, err == nil
	}
	return 0, false
}

func flag(b bool) int {
	if b {
		return 1
	}
	return 0
}
