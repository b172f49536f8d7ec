package sale

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Check tells which creation rules (domain, sections 1 to 4) s breaks, seen at
// now: nil, or Faults.
func (s Sale) Check(now Instant) error {
	var c checker
	c.must(slices.Contains(Kinds, s.Kind), "kind", "must be auction, reservation, coupon or event")
	c.must(strings.TrimSpace(s.Title) != "", "title", "must not be blank")
	c.must(isText(s.Title, MaxTitle), "title", "must be UTF-8 of at most %d characters, none of them NUL", MaxTitle)
	c.must(isText(s.Description, MaxDescription), "description", "must be UTF-8 of at most %d characters, none of them NUL", MaxDescription)
	c.must(s.Limit >= 1, "limit", "must be at least 1")
	c.must(s.Stock >= s.Limit, "stock", "must be at least the limit per buyer")
	c.must(s.Stock <= MaxStock, "stock", "must be at most %d", MaxStock)
	c.must(s.OpensAt >= now, "opens_at", "must not be in the past")
	c.must(s.RefundWindow >= 0 && s.RefundWindow <= MaxRefundWindow, "refund_window", "must be between 0 and %s", MaxRefundWindow)
	c.must(s.RefundWindow%time.Millisecond == 0, "refund_window", "must be whole milliseconds")

	length := c.length(s)
	price := "unit_price"
	if s.Kind == Auction {
		price = "start_price"
		c.faults = append(c.faults, s.Price.check(length)...)
	} else {
		c.faults = append(c.faults, s.Price.checkFixed()...)
	}
	if s.Price.Start > 0 && s.Stock > 0 {
		c.must(s.Stock <= MaxPoints/s.Price.Start, "stock", "times %s must be at most %d", price, int64(MaxPoints))
	}
	c.line(s)
	c.coupon(s)
	c.event(s)
	if len(c.faults) == 0 {
		return nil
	}
	return c.faults
}

// checker collects faults.
type checker struct{ faults Faults }

func (c *checker) must(ok bool, field, rule string, args ...any) {
	if !ok {
		c.faults = append(c.faults, Fault{field, fmt.Sprintf(rule, args...)})
	}
}

// length answers how long s sells; 0 when that breaks a rule of its own.
func (c *checker) length(s Sale) time.Duration {
	span := s.ClosesAt - s.OpensAt
	switch {
	case s.ClosesAt <= s.OpensAt:
		c.must(false, "closes_at", "must be after opens_at")
	case s.Kind == Auction && span > Instant(MaxLength.Milliseconds()):
		c.must(false, "closes_at", "must be at most %d minutes after opens_at", int(MaxLength.Minutes()))
	case s.Kind == Auction && span%Instant(time.Minute.Milliseconds()) != 0:
		c.must(false, "closes_at", "must be a whole number of minutes after opens_at")
	case span > Instant(MaxSpan.Milliseconds()):
		c.must(false, "closes_at", "must be at most %d days after opens_at", int(MaxSpan.Hours()/24))
	default:
		return time.Duration(span) * time.Millisecond
	}
	return 0
}

// line checks what only kinds whose units return have: holds and a waiting line.
func (c *checker) line(s Sale) {
	if !s.Returns() {
		c.must(s.Hold == 0, "hold", "belongs to a reservation or an event")
		c.must(s.LineMost == 0, "line", "belongs to a reservation or an event")
		c.must(s.MaxBypass == 0, "max_bypass", "belongs to a reservation or an event")
		return
	}
	c.must(s.Hold >= time.Second && s.Hold <= MaxHold && s.Hold%time.Second == 0, "hold", "must be whole seconds between 1 and %d", int(MaxHold.Seconds()))
	c.must(s.LineMost >= 0 && s.LineMost <= MaxLine, "line", "must be between 0 and %d", MaxLine)
	c.must(s.MaxBypass >= 0 && s.MaxBypass <= MaxBypass, "max_bypass", "must be between 0 and %d", MaxBypass)
	c.must(s.LineMost > 0 || s.MaxBypass == 0, "max_bypass", "needs a line")
}

func (c *checker) coupon(s Sale) {
	if s.Kind != Coupon {
		c.must(s.AmountOff == 0, "amount_off", "belongs to a coupon")
		c.must(s.ValidFrom == 0, "valid_from", "belongs to a coupon")
		c.must(s.ValidUntil == 0, "valid_until", "belongs to a coupon")
		return
	}
	c.must(s.Limit <= 1, "limit", "of a coupon must be 1")
	c.must(s.Price.Start == 0, "unit_price", "of a coupon must be 0")
	c.must(s.AmountOff >= 1 && s.AmountOff <= MaxPoints, "amount_off", "must be between 1 and %d", int64(MaxPoints))
	c.must(s.ValidFrom > 0 && s.ValidFrom < s.ClosesAt, "valid_from", "must be before closes_at")
	c.must(s.ValidUntil > s.ValidFrom, "valid_until", "must be after valid_from")
	c.must(s.ValidUntil > s.OpensAt, "valid_until", "must be after opens_at")
	c.must(s.ValidUntil <= s.OpensAt.Add(10*MaxSpan), "valid_until", "must be within ten years")
}

func (c *checker) event(s Sale) {
	if s.Kind != Event {
		c.must(s.StartsAt == 0, "starts_at", "belongs to an event")
		c.must(s.Store == 0, "store", "belongs to an event")
		return
	}
	c.must(s.StartsAt == 0 || s.StartsAt >= s.ClosesAt, "starts_at", "must not be before closes_at")
	c.must(s.StartsAt <= s.ClosesAt.Add(10*MaxSpan), "starts_at", "must be within ten years")
	c.must(s.Store == 0 || s.StartsAt == s.ClosesAt && s.Limit == 1, "starts_at", "of a slot must be closes_at, and its limit 1")
}
