package torture

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"sluice/client"
)

// quietLength is how long a sale that nobody asks for anything is open.
const quietLength = time.Hour

// Untouched is the rule of the sales that nobody asks for anything: whatever is lost
// and rebuilt around them, in the end all is there, and free.
const Untouched Rule = "untouched"

// Quiet is such a sale.
type Quiet struct {
	Sale    int64        `json:"sale"`
	Offered int64        `json:"offered"` // units
	Stock   client.Stock `json:"stock"`   // in the end
	Unread  string       `json:"unread,omitempty"`
}

// offerQuietly offers sales that no buyer hears of.
func (c *crowd) offerQuietly(ctx context.Context, which int) {
	dice := rand.New(rand.NewPCG(c.seed, uint64(10+which)))
	for _, kind := range []client.Kind{client.Auction, client.Reservation, client.Coupon, client.Event} {
		key := fmt.Sprintf("quiet-%d-%s", which, kind)
		for try := range offerTries {
			n := newSale(kind, dice)
			n.ClosesAt = n.OpensAt.Add(quietLength)
			if kind == client.Auction {
				n.Period = quietLength
			}
			if kind == client.Coupon {
				n.ValidUntil = n.ClosesAt
			}
			made, err := c.sellers[which].api.CreateSale(ctx, n, client.WithKey(fmt.Sprintf("%s-%d", key, try)))
			if err == nil {
				c.record.mu.Lock()
				c.record.Quiet = append(c.record.Quiet, Quiet{Sale: made.ID, Offered: n.Stock})
				c.record.mu.Unlock()
				break
			}
			if ctx.Err() != nil {
				return
			}
			if client.CodeOf(err) != client.CodeInvalidFields {
				r := c.record.begin(Request{Key: key, Account: c.sellers[which].account, Kind: kind})
				r.Refused = err.Error()
				return
			}
		}
	}
}

// lookAtQuiet reads what became of them.
func (c *crowd) lookAtQuiet(ctx context.Context) error {
	for i := range c.record.Quiet {
		q := &c.record.Quiet[i]
		s, err := c.api.Sale(ctx, q.Sale)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil:
			q.Unread = err.Error()
		case s.Stock == nil:
			q.Unread = "its stock is not shown"
		default:
			q.Stock = *s.Stock
		}
	}
	return nil
}

// CheckQuiet finds every quiet sale of which something is missing. It is a pure
// function.
func CheckQuiet(h History) (found []Violation) {
	for _, q := range h.Quiet {
		switch want := (client.Stock{Total: q.Offered, Free: q.Offered}); {
		case q.Unread != "":
			found = append(found, Violation{Rule: Untouched, Sale: q.Sale, Detail: q.Unread})
		case q.Stock != want:
			found = append(found, Violation{Rule: Untouched, Sale: q.Sale, Detail: fmt.Sprintf("it has %+v, and nobody has asked for any of %d", q.Stock, q.Offered)})
		}
	}
	return found
}
