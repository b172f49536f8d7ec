package partition

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"sluice/internal/sale"
)

// Ask says what a batch may have to see of a sale.
//
// Its entries see every hold that ends by the last of them, as long as the sale is
// open. Where they are ticks alone, or it is closed, they see as many as ticks end,
// and one more, from which they learn that they are not through.
//
// Of the line they see its beginning: of an open sale as many places as units come
// free by holds that end and by Frees, with some to spare where a buyer may have
// more than one, and as many as a freed unit looks at where a smaller request may
// pass; of one that closes as many as ticks turn away. Mostly that is none. It may
// turn out to be too little: then the decision is Short, and the next Ask goes one
// deeper.
type Ask struct {
	Buyers   []int64 // whose units, each once
	Ticks    int     // entries that are ticks
	Requests int     // entries that are not
	Frees    int64   // units that these may free: one for each that gives back, the growth of the stock, some for a sale that is resumed
	Deeper   int     // 0 to DeepMost: each shows deeper times more of the line, the last all of it
}

// deeper is how many times more of the line is shown each time.
const deeper = 8

// DeepMost is the Ask.Deeper that shows the whole of every line: BypassReach ×
// deeper^DeepMost is more than sale.MaxLine.
const DeepMost = 4

// more answers how many times more of the line is shown than at first.
func (a *Ask) more() int64 {
	more := int64(1)
	for range a.Deeper {
		more *= deeper
	}
	return more
}

// Asks answers what a batch of these entries has to see, by sale.
func Asks(entries []sale.Entry) map[int64]*Ask {
	asks := map[int64]*Ask{}
	seen := map[[2]int64]bool{}
	of := func(id, buyer int64) *Ask {
		ask := asks[id]
		if ask == nil {
			ask = &Ask{}
			asks[id] = ask
		}
		if pair := [2]int64{id, buyer}; !seen[pair] {
			seen[pair] = true
			ask.Buyers = append(ask.Buyers, buyer)
		}
		return ask
	}
	for _, e := range entries {
		if e.Sale == 0 {
			continue
		}
		ask := of(e.Sale, e.Buyer)
		if e.Verb.Tick() {
			ask.Ticks++
			continue
		}
		ask.Requests++
		switch e.Verb {
		case sale.Cancel:
			ask.Frees++
		case sale.Change:
			ask.Frees += min(e.Quantity, sale.MaxStock)
		case sale.Resume: // as much as has come free meanwhile: mostly little, else it is asked deeper
			ask.Frees += sale.BypassReach
		}
		if e.From != 0 { // the booking that it gives back
			from := of(e.From, e.Buyer)
			from.Requests++
			from.Frees++
		}
	}
	return asks
}

// View answers how the sales of a batch, which goes up to last, stand at the
// watermark prev: of each what was asked. A sale that Redis lacks is missing.
// ErrBehind or ErrAhead when Redis stands elsewhere, ErrFenced when the epoch is
// over, ErrBroken when a sale cannot be read.
func (s *Store) View(ctx context.Context, p int, epoch int64, prev, last sale.EntryID, asks map[int64]*Ask) (sale.State, error) {
	keys, sales := append(make([]string, 0, 1+4*len(asks)), slot(p)), make([]int64, 0, len(asks))
	args := append(make([]any, 0, 5+6*len(asks)), epoch, prev.String(), int64(last.At), sale.TickMost, sale.BypassReach)
	for id, ask := range asks {
		keys = saleKeys(keys, p, id)
		args = append(args, ask.Ticks, ask.Requests, ask.Frees, ask.more(), len(ask.Buyers))
		for _, buyer := range ask.Buyers {
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
	case !ok || len(words) != 1+4*len(sales) || text(words[0]) != "view":
		return nil, unknown("view", answer)
	}
	state := sale.State{}
	for i, id := range sales {
		fields, isHash := words[1+4*i].([]any)
		units, _ := words[2+4*i].([]any)
		switch {
		case !isHash:
			return nil, unknown("view", answer)
		case len(fields) == 0:
			continue
		}
		stand, err := parseStand(p, id, fields)
		if err != nil {
			return nil, err
		}
		buyers := asks[id].Buyers
		if len(units) != len(buyers) {
			return nil, unknown("view", answer)
		}
		for j, buyer := range buyers {
			switch n, ok := count(units[j]); {
			case !ok:
				return nil, fmt.Errorf("%w: in sale %d %d has %.30v units", ErrBroken, id, buyer, units[j])
			case n != 0:
				stand.Buyers[buyer] = n
			}
		}
		if err := parsePlaces(stand, words[3+4*i], words[4+4*i]); err != nil {
			return nil, err
		}
		state[id] = stand
	}
	return state, nil
}

// Cut takes from a complete stand what View would not show of it to a batch that
// goes up to last.
func (a *Ask) Cut(s *sale.Stand, last sale.EntryID) {
	units := s.Buyers
	s.Buyers = make(map[int64]int64, len(a.Buyers))
	for _, buyer := range a.Buyers {
		if units[buyer] != 0 {
			s.Buyers[buyer] = units[buyer]
		}
	}

	open := s.Phase != sale.PhaseClosed
	due, _ := slices.BinarySearchFunc(s.Holds, last.At+1, func(p sale.Place, t sale.Instant) int { return cmp.Compare(p.At, t) })
	switch {
	case open && a.Requests > 0:
	case a.Ticks > 0:
		due = min(due, a.Ticks*sale.TickMost+1)
	default:
		due = 0
	}
	s.Holds = s.Holds[:due:due]

	var most int64
	if freed := int64(due) + a.Frees; open && freed > 0 {
		if most = 1 + freed; s.Limit > 1 {
			most += freed
		}
	}
	if open && s.MaxBypass > 0 {
		most += sale.BypassReach
	}
	if !open || s.ClosesAt <= last.At {
		most += int64(a.Ticks) * sale.TickMost
	}
	if a.Deeper > 0 {
		most = max(most, sale.BypassReach) * a.more()
	}
	most = min(most, int64(len(s.Line)))
	s.Line = s.Line[:most:most]
}
