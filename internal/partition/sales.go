package partition

import (
	"context"
	"fmt"

	"sluice/internal/sale"
)

// Sale answers how a sale stands at this moment of stream time, without its
// buyers, holds and line; sale.ErrUnknown when Redis does not hold it.
func (s *Store) Sale(ctx context.Context, p int, id int64) (*sale.Stand, sale.Instant, error) {
	answer, err := s.run(ctx, s.requests, "sale", []string{slot(p), saleKey(p, id)})
	if err != nil {
		return nil, 0, fmt.Errorf("read sale %d: %w", id, err)
	}
	words, ok := answer.([]any)
	if !ok || len(words) != 2 {
		return nil, 0, unknown("sale", answer)
	}
	now, isNumber := count(words[0])
	fields, isList := words[1].([]any)
	switch {
	case !isNumber || now <= 0 || !isList:
		return nil, 0, unknown("sale", answer)
	case len(fields) == 0:
		return nil, 0, sale.ErrUnknown
	}
	stand, err := parseStand(p, id, fields)
	if err != nil {
		return nil, 0, err
	}
	return stand, sale.Instant(now), nil
}

// Projection is what Redis says of a partition at one watermark.
type Projection struct {
	Applied   sale.EntryID
	Seq       int64          // of the last request admitted
	Settled   int64          // number of the entry Applied
	Sales     sale.State     // with all their buyers, holds and lines
	Exhausted map[int64]bool // sales whose new bids admission refuses
}

// Projection answers the watermark of partition p and how these sales stand at
// it, in one atomic step. Sales that Redis lacks are missing. ErrLoading when it
// has no data of the partition, ErrBroken when a sale cannot be read.
func (s *Store) Projection(ctx context.Context, p int, sales []int64) (Projection, error) {
	found := Projection{Sales: sale.State{}, Exhausted: map[int64]bool{}}
	keys := []string{slot(p)}
	for _, id := range sales {
		keys = saleKeys(keys, p, id)
	}
	answer, err := s.run(ctx, s.owners, "projection", keys)
	if err != nil {
		return found, fmt.Errorf("projection of partition %d: %w", p, err)
	}
	words, ok := answer.([]any)
	if !ok || len(words) != len(keys)+2 {
		return found, unknown("projection", answer)
	}
	if text(words[0]) == "" {
		return found, ErrLoading
	}
	if found.Applied, err = sale.ParseEntryID(text(words[0])); err != nil {
		return found, err
	}
	found.Seq, found.Settled = number(words[1]), number(words[2])
	for i, id := range sales {
		fields, isHash := words[3+4*i].([]any)
		units, areUnits := words[4+4*i].([]any)
		switch {
		case !isHash || !areUnits || len(units)%2 != 0:
			return found, unknown("projection", answer)
		case len(fields) == 0:
			continue
		}
		stand, err := parseStand(p, id, fields)
		if err != nil {
			return found, err
		}
		for j := 0; j+1 < len(units); j += 2 {
			buyer, known := count(units[j])
			n, counted := count(units[j+1])
			if !known || !counted {
				return found, fmt.Errorf("%w: in sale %d %.30v has %.30v units", ErrBroken, id, units[j], units[j+1])
			}
			stand.Buyers[buyer] = n
		}
		if err := parsePlaces(stand, words[5+4*i], words[6+4*i]); err != nil {
			return found, err
		}
		found.Sales[id] = stand
		for j := 0; j+1 < len(fields); j += 2 {
			if text(fields[j]) == "exhausted" {
				found.Exhausted[id] = text(fields[j+1]) == "1"
			}
		}
	}
	return found, nil
}
