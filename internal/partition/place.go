package partition

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"strconv"

	"github.com/google/uuid"

	"sluice/internal/sale"
)

// Holds and lines are sorted sets. A place's score is its moment, its member the
// receipt's number, big-endian, and ID: among equal scores Redis orders by member,
// so all of them stand as Place.Compare has them.
const memberSize = 8 + len(uuid.UUID{})

func member(p sale.Place) []byte {
	return append(binary.BigEndian.AppendUint64(make([]byte, 0, memberSize), uint64(p.Seq)), p.Receipt[:]...)
}

// places reads member, score, … What Redis cannot have from us is ErrBroken.
func places(answer any) ([]sale.Place, error) {
	flat, ok := answer.([]any)
	switch {
	case !ok || len(flat)%2 != 0:
		return nil, fmt.Errorf("%w: places %.100v", ErrBroken, answer)
	case len(flat) == 0:
		return nil, nil
	}
	all := make([]sale.Place, 0, len(flat)/2)
	for i := 0; i+1 < len(flat); i += 2 {
		member := text(flat[i])
		at, err := strconv.ParseFloat(text(flat[i+1]), 64) // some servers write 1.7e+12
		if err != nil || at != math.Trunc(at) || math.Abs(at) > sale.MaxPoints || len(member) != memberSize {
			return nil, fmt.Errorf("%w: place %.100q at %.30q", ErrBroken, member, text(flat[i+1]))
		}
		all = append(all, sale.Place{
			Receipt: uuid.UUID([]byte(member[8:])), Seq: int64(binary.BigEndian.Uint64([]byte(member[:8]))), At: sale.Instant(at),
		})
	}
	return all, nil
}

// LinePlace answers which place it is in the waiting line of a sale, from 1, and how
// many leave the line per second in the mean since somebody waits there, 0 when nobody
// has; a place of 0 when it is not in it. sale.ErrUnknown when Redis does not hold the
// sale.
func (s *Store) LinePlace(ctx context.Context, p int, saleID int64, place sale.Place) (at int64, leave float64, err error) {
	answer, err := s.run(ctx, s.requests, "place", []string{saleKey(p, saleID), saleKey(p, saleID) + lineOf}, member(place))
	if err != nil {
		return 0, 0, fmt.Errorf("find a place in the line of sale %d: %w", saleID, err)
	}
	words, isList := answer.([]any)
	switch {
	case answer == int64(0):
		return 0, 0, nil
	case answer == "unknown_sale":
		return 0, 0, sale.ErrUnknown
	case !isList || len(words) != 3 || number(words[0]) <= 0:
		return 0, 0, unknown("place", answer)
	}
	if left, ms := number(words[1]), number(words[2]); left > 0 && ms > 0 {
		leave = float64(left) / float64(ms) * 1000
	}
	return number(words[0]), leave, nil
}
