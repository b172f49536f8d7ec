package partition

import (
	"context"
	"fmt"
	"strconv"

	"github.com/redis/go-redis/v9"

	"sluice/internal/sale"
)

// Chances is what a sale still has for those who are queued for it.
type Chances struct {
	Free      int64   // units
	Limit     int64   // units that one buyer may have
	Exhausted bool    // all units are gone, and none returns
	Pace      float64 // units that one request of the partition took, in the mean of late; 0: not known
}

// Chances answers those of a sale; sale.ErrUnknown when Redis does not hold it.
func (s *Store) Chances(ctx context.Context, p int, id int64) (c Chances, err error) {
	key := saleKey(p, id)
	cmd := redis.NewSliceCmd(ctx, "hmget", key, "free", "limit", "exhausted", "pace")
	err = s.requests.do(ctx, key, cmd)
	words := cmd.Val()
	switch {
	case err != nil:
		return c, fault(fmt.Sprintf("read the chances of sale %d", id), err)
	case len(words) != 4:
		return c, unknown("HMGET", words)
	case words[0] == nil:
		return c, sale.ErrUnknown
	}
	c = Chances{Free: number(words[0]), Limit: number(words[1]), Exhausted: text(words[2]) == "1"}
	c.Pace, _ = strconv.ParseFloat(text(words[3]), 64) // 0 when nobody has bought yet
	return c, nil
}

// likelyShare and unlikelyShare of the units that are free may those before a request be
// expected to take for it to be likely, and must they for it to be unlikely. In between
// nobody is told anything.
const likelyShare, unlikelyShare = 0.75, 1.25

// Outlook says what to expect for a request for so many units that has so many of its
// partition ahead of it.
func (c Chances) Outlook(ahead, units int64) sale.Outlook {
	free, taken := float64(c.Free), c.Pace*float64(ahead)
	switch {
	case c.Exhausted:
		return sale.Gone
	case c.Free < units, c.Pace > 0 && taken > free*unlikelyShare:
		return sale.Unlikely
	case float64(ahead)*float64(c.Limit)+float64(units) <= free, c.Pace > 0 && taken+float64(units) <= free*likelyShare:
		return sale.Likely
	}
	return ""
}
