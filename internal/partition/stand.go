package partition

import (
	"fmt"
	"strconv"
	"time"

	"sluice/internal/sale"
)

// standFields answers the hash of a sale: field, value, … What only some kinds
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
// missing one, but for those that the release before did not have.
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
	optional := func(name string) int64 {
		if _, ok := fields[name]; !ok {
			return 0
		}
		return integer(name)
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
			Hold: time.Duration(optional("hold_ms")) * time.Millisecond,
		},
		Phase: sale.Phase(word("phase")), Free: integer("free"), Held: integer("held"), Sold: integer("sold"),
		PaidOut: integer("paid_out") == 1, Buyers: map[int64]int64{},
	}
	for _, term := range terms(stand) {
		*term.value = optional(term.field)
	}
	if missing == "" && stand.Price.Policy != sale.Fixed && stand.Price.Period <= 0 {
		missing = "period_ms"
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

func flag(b bool) int {
	if b {
		return 1
	}
	return 0
}
