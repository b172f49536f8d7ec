package partition

import (
	"context"
	"fmt"

	"sluice/internal/sale"
)

// Sale answers how a sale stands at this moment of stream time, without its
// buyers; sale.ErrUnknown when Redis does not hold it.
func (s *Store) Sale(ctx context.Context, p int, id int64) (*sale.Stand, sale.Instant, error) {
	answer, err := s.run(ctx, s.requests, "sale", []string{slot(p), saleKey(p, id)})
	if err != nil {
		return nil, 0, fmt.Errorf("read sale %d: %w", id, err)
	}
	words, ok := answer.([]any)
	if !ok || len(words) != 2 {
		return nil, 0, unknown("sale", answer)
	}
	fields, _ := words[1].([]any)
	if len(fields) == 0 {
		return nil, 0, sale.ErrUnknown
	}
	stand, err := parseStand(p, id, fields)
	return stand, sale.Instant(number(words[0])), err
}

// Snapshot answers the watermark of partition p and how these sales stand at it,
// with all their buyers, in one atomic step. Sales that Redis lacks are missing.
func (s *Store) Snapshot(ctx context.Context, p int, sales []int64) (sale.EntryID, sale.State, error) {
	keys := []string{slot(p)}
	for _, id := range sales {
		keys = append(keys, saleKey(p, id), buyersKey(p, id))
	}
	answer, err := s.run(ctx, s.owners, "snapshot", keys)
	if err != nil {
		return sale.EntryID{}, nil, fmt.Errorf("snapshot of partition %d: %w", p, err)
	}
	words, ok := answer.([]any)
	if !ok || len(words) != len(keys) {
		return sale.EntryID{}, nil, unknown("snapshot", answer)
	}
	if text(words[0]) == "" {
		return sale.EntryID{}, nil, ErrLoading
	}
	applied, err := sale.ParseEntryID(text(words[0]))
	if err != nil {
		return applied, nil, err
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
			return applied, nil, err
		}
		for j := 0; j+1 < len(units); j += 2 {
			stand.Buyers[number(units[j])] = number(units[j+1])
		}
		state[id] = stand
	}
	return applied, state, nil
}
