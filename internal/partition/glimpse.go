package partition

import (
	"context"
	"fmt"

	"sluice/internal/sale"
)

// Glimpse is what Redis says of some sales of a partition at one watermark, in numbers
// alone. Sales that Redis lacks are missing.
type Glimpse struct {
	Applied sale.EntryID
	Sales   map[int64]Glimpsed
}

// Glimpsed is one of them.
type Glimpsed struct {
	Stand       *sale.Stand // without its buyers, holds and line
	Exhausted   bool        // whether admission refuses new requests
	Holds, Line int64       // places
	Unreadable  error       // why there is no Stand
}

// Glimpse answers the watermark of partition p and how these sales stand at it, in one
// atomic step: a small Projection, for whoever looks often. ErrLoading when Redis has no
// data of the partition.
func (s *Store) Glimpse(ctx context.Context, p int, sales []int64) (Glimpse, error) {
	found := Glimpse{Sales: make(map[int64]Glimpsed, len(sales))}
	keys := []string{slot(p)}
	for _, id := range sales {
		keys = saleKeys(keys, p, id)
	}
	answer, err := s.run(ctx, s.owners, "glimpse", keys)
	if err != nil {
		return found, fmt.Errorf("glimpse of partition %d: %w", p, err)
	}
	words, ok := answer.([]any)
	if !ok || len(words) != 1+3*len(sales) {
		return found, unknown("glimpse", answer)
	}
	if text(words[0]) == "" {
		return found, ErrLoading
	}
	if found.Applied, err = sale.ParseEntryID(text(words[0])); err != nil {
		return found, fmt.Errorf("glimpse of partition %d: %w", p, err)
	}
	for i, id := range sales {
		fields, isHash := words[1+3*i].([]any)
		holds, counted := count(words[2+3*i])
		line, also := count(words[3+3*i])
		switch {
		case !isHash || !counted || !also:
			return found, unknown("glimpse", answer)
		case len(fields) == 0:
			continue
		}
		seen := Glimpsed{Holds: holds, Line: line}
		seen.Stand, seen.Unreadable = parseStand(p, id, fields)
		for j := 0; j+1 < len(fields); j += 2 {
			if text(fields[j]) == "exhausted" {
				seen.Exhausted = text(fields[j+1]) == "1"
			}
		}
		found.Sales[id] = seen
	}
	return found, nil
}
