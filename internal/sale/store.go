package sale

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"strings"
	"time"
)

// Bounds of a store. Three stores, half hours and the line of 100 are the domain's,
// the others our own.
const (
	MaxStores        = 3 // open ones of a seller
	MaxTables        = 1000
	MaxDaysAhead     = 60
	DefaultDaysAhead = 14
	SlotLine         = 100 // receipts that may wait for one slot
	slotMinutes      = 30  // from one bookable time to the next
	lastSlot         = 23*60 + 30
)

// Store is a seller's place with tables. Its hours make slots, each of which is a
// sale of its own: an Event whose stock is the tables. All are in one partition, so
// that a change of slot is one decision.
type Store struct {
	ID           int64
	Partition    int
	Seller       int64
	Title        string
	Description  string
	TimeZone     string // IANA name: what its hours and days mean
	Tables       int64
	UnitPrice    int64 // points per table
	RefundWindow time.Duration
	Hold         time.Duration
	DaysAhead    int // days after today whose slots are published
	Hours        Hours
	CreatedAt    Instant
	Closed       bool // it gets no new slots, and takes no new bookings
}

// Hours are when a store is open, from Monday on; nil: not on that day.
type Hours [7]*Span

// Span is from the first bookable time of a day to the last, both included, in
// minutes since midnight of the local clock: whole half hours, at most 23:30. A table
// at 24:00 would be one of the next day.
type Span struct{ Opens, Closes int }

// On answers the hours of that weekday.
func (h Hours) On(d time.Weekday) *Span { return h[(int(d)+6)%7] }

// Day is a date of some local calendar.
type Day struct {
	Year  int
	Month time.Month
	Day   int
}

// DayOf answers the date of t in its own time zone.
func DayOf(t time.Time) Day {
	y, m, d := t.Date()
	return Day{y, m, d}
}

// ParseDay reads the form 2026-11-23.
func ParseDay(s string) (Day, error) {
	t, err := time.Parse(time.DateOnly, s)
	if err != nil {
		return Day{}, fmt.Errorf("%q is not a date like 2026-11-23", s)
	}
	return DayOf(t), nil
}

func (d Day) String() string { return d.in(time.UTC, 0).Format(time.DateOnly) }

// Add answers the date so many days later.
func (d Day) Add(days int) Day {
	return DayOf(time.Date(d.Year, d.Month, d.Day+days, 0, 0, 0, 0, time.UTC))
}

// Weekday is that of the date.
func (d Day) Weekday() time.Weekday { return d.in(time.UTC, 0).Weekday() }

// Compare orders dates.
func (d Day) Compare(e Day) int {
	return cmp.Or(cmp.Compare(d.Year, e.Year), cmp.Compare(d.Month, e.Month), cmp.Compare(d.Day, e.Day))
}

func (d Day) in(zone *time.Location, minute int) time.Time {
	return time.Date(d.Year, d.Month, d.Day, 0, minute, 0, 0, zone)
}

// Check tells which rules a store breaks: nil, or Faults.
func (s Store) Check() error {
	var c checker
	c.must(strings.TrimSpace(s.Title) != "", "title", "must not be blank")
	c.must(isText(s.Title, MaxTitle), "title", "must be UTF-8 of at most %d characters, none of them NUL", MaxTitle)
	c.must(isText(s.Description, MaxDescription), "description", "must be UTF-8 of at most %d characters, none of them NUL", MaxDescription)
	_, err := s.zone()
	c.must(err == nil, "time_zone", "must be an IANA time zone, like Europe/Berlin")
	c.must(s.Tables >= 1 && s.Tables <= MaxTables, "tables", "must be between 1 and %d", MaxTables)
	c.must(s.UnitPrice >= 0 && s.UnitPrice <= MaxPoints/MaxTables, "unit_price", "must be between 0 and %d", int64(MaxPoints/MaxTables))
	c.must(s.RefundWindow >= 0 && s.RefundWindow <= MaxRefundWindow && s.RefundWindow%time.Millisecond == 0,
		"refund_window", "must be whole milliseconds between 0 and %s", MaxRefundWindow)
	c.must(s.Hold >= time.Second && s.Hold <= MaxHold && s.Hold%time.Second == 0, "hold", "must be whole seconds between 1 and %d", int(MaxHold.Seconds()))
	c.must(s.DaysAhead >= 1 && s.DaysAhead <= MaxDaysAhead, "days_ahead", "must be between 1 and %d", MaxDaysAhead)
	days := 0
	for _, span := range s.Hours {
		if span != nil {
			c.must(span.valid(), "hours", "must be whole half hours, opening no later than closing, which is at most 23:30")
			days++
		}
	}
	c.must(days > 0, "hours", "must name a day")
	if len(c.faults) == 0 {
		return nil
	}
	return c.faults
}

func (s Span) valid() bool {
	return s.Opens >= 0 && s.Opens <= s.Closes && s.Closes <= lastSlot && s.Opens%slotMinutes == 0 && s.Closes%slotMinutes == 0
}

// zone answers the time zone. Go would take two names more, which mean another zone
// on each machine, or say none. The one thing in this package that reads a file: the
// rules of the zones, which are as good as constants.
func (s Store) zone() (*time.Location, error) {
	if s.TimeZone == "" || s.TimeZone == "Local" || len(s.TimeZone) > 64 {
		return nil, fmt.Errorf("%q is no time zone", s.TimeZone)
	}
	return time.LoadLocation(s.TimeZone)
}

// Today is the date in the store at t. A zone that this machine does not know is
// an error.
func (s Store) Today(t Instant) (Day, error) {
	zone, err := s.zone()
	if err != nil {
		return Day{}, err
	}
	return DayOf(t.Time().In(zone)), nil
}

// Bounds answers the moments at which a date of the store begins, and the next one.
func (s Store) Bounds(d Day) (from, to Instant, err error) {
	zone, err := s.zone()
	if err != nil {
		return 0, 0, err
	}
	return At(begin(d, zone)), At(begin(d.Add(1), zone)), nil
}

// begin is the first moment of a date.
func begin(d Day, zone *time.Location) time.Time {
	t := first(d.in(zone, 0))
	start, end := t.ZoneBounds()
	switch {
	case DayOf(t).Compare(d) < 0: // midnight is skipped, and time.Date went back over the gap
		return end
	case t.Hour() > 0 || t.Minute() > 0: // or forward
		return start
	}
	return t
}

// Slots answers the bookable times of a date, in order: the half hours of its hours,
// both ends included. Those that the clock skips are not offered, those that it
// shows twice once, the first time.
func (s Store) Slots(d Day) []Instant {
	zone, err := s.zone()
	span := s.Hours.On(d.Weekday())
	if err != nil || span == nil || !span.valid() {
		return nil
	}
	slots := make([]Instant, 0, (span.Closes-span.Opens)/slotMinutes+1)
	for minute := span.Opens; minute <= span.Closes; minute += slotMinutes {
		t := first(d.in(zone, minute))
		if DayOf(t) == d && t.Hour()*60+t.Minute() == minute { // else it was skipped
			slots = append(slots, At(t))
		}
	}
	return slots
}

// first is the first moment at which the clock of its zone shows the time that t
// shows. Of two, time.Date promises neither.
func first(t time.Time) time.Time {
	start, _ := t.ZoneBounds()
	if start.IsZero() {
		return t
	}
	_, now := t.Zone()
	_, before := start.Add(-1).Zone()
	if earlier := t.Add(time.Duration(now-before) * time.Second); earlier.Before(start) {
		return earlier
	}
	return t
}

// Bookable tells which rules of the store a time breaks that somebody wants to book
// at now: nil, or Faults of the field slot.
func (s Store) Bookable(at, now Instant) error {
	var c checker
	zone, err := s.zone()
	if err != nil {
		return err
	}
	t := at.Time().In(zone)
	minute := t.Hour()*60 + t.Minute()
	span := s.Hours.On(t.Weekday())
	switch {
	case minute%slotMinutes != 0 || t.Second() != 0 || t.Nanosecond() != 0:
		c.must(false, "slot", "must be on the hour or half hour of the store's clock")
	case span == nil || minute < span.Opens || minute > span.Closes:
		c.must(false, "slot", "must be within the hours of the store")
	case !first(t).Equal(t):
		c.must(false, "slot", "must be the first of the two times that the clock shows it")
	}
	c.must(at > now, "slot", "must not be in the past")
	if len(c.faults) == 0 {
		return nil
	}
	return c.faults
}

// Slot answers the sale of one slot, which opens at opensAt and closes when it begins.
func (s Store) Slot(at, opensAt Instant) Sale {
	return Sale{
		Kind: Event, Partition: s.Partition, Seller: s.Seller, Title: s.Title,
		Price: Price{Policy: Fixed, Start: s.UnitPrice}, Stock: s.Tables, Limit: 1,
		OpensAt: opensAt, ClosesAt: at, RefundWindow: s.RefundWindow, ShowStock: true,
		Hold: s.Hold, LineMost: SlotLine, StartsAt: at, Store: s.ID,
	}
}

// Sum is the fingerprint of what its seller asks for, as Sale.Sum.
func (s Store) Sum() uint64 {
	var text []byte
	for _, word := range []string{s.Title, s.Description, s.TimeZone} {
		text = fmt.Appendf(text, "%d:%s ", len(word), word)
	}
	text = fmt.Appendf(text, "%d %d %d %d %d %d", s.Seller, s.Tables, s.UnitPrice, s.RefundWindow.Milliseconds(), s.Hold.Milliseconds(), s.DaysAhead)
	for _, span := range s.Hours {
		if span == nil {
			span = &Span{-1, -1}
		}
		text = fmt.Appendf(text, " %d-%d", span.Opens, span.Closes)
	}
	sum := sha256.Sum256(text)
	return binary.BigEndian.Uint64(sum[:])
}
