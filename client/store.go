package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"net/url"
	"time"
)

// Hours are when a store is open, by day, from its first bookable time to its last:
// {"mon": "11:00-21:00"}. Days are mon, tue, wed, thu, fri, sat, sun; those that are
// not there are closed. Times are half hours of the store's own clock, at most 23:30.
type Hours map[string]string

// Store is a seller's place with tables.
type Store struct {
	ID           int64         `json:"store"`
	Seller       int64         `json:"seller"` // account
	Title        string        `json:"title"`
	Description  string        `json:"description,omitempty"` // not in lists
	TimeZone     string        `json:"time_zone"`             // IANA name: what Hours and days mean
	Tables       int64         `json:"tables"`
	Hours        Hours         `json:"hours"`
	UnitPrice    int64         `json:"unit_price"` // points for a table
	RefundWindow time.Duration `json:"-"`
	Hold         time.Duration `json:"-"`          // to pay in, for who comes out of the line
	DaysAhead    int           `json:"days_ahead"` // days after today whose slots can be booked
	Closed       bool          `json:"closed,omitempty"`
	CreatedAt    time.Time     `json:"created_at"`
}

// UnmarshalJSON reads a store as the API writes it.
func (s *Store) UnmarshalJSON(text []byte) error {
	type plain Store
	wire := struct {
		*plain
		RefundWindow int64 `json:"refund_window"`
		Hold         int64 `json:"hold"`
	}{plain: (*plain)(s)}
	err := json.Unmarshal(text, &wire)
	s.RefundWindow, s.Hold = time.Duration(wire.RefundWindow)*time.Second, time.Duration(wire.Hold)*time.Second
	return err
}

// MarshalJSON writes s as the API does.
func (s Store) MarshalJSON() ([]byte, error) {
	type plain Store
	return json.Marshal(struct {
		plain
		RefundWindow int64 `json:"refund_window"`
		Hold         int64 `json:"hold"`
	}{plain(s), int64(s.RefundWindow / time.Second), int64(s.Hold / time.Second)})
}

// NewStore is a store that a seller wants to open. Its durations must be whole
// seconds.
type NewStore struct {
	Title        string         `json:"title"`
	Description  string         `json:"description,omitempty"`
	TimeZone     string         `json:"time_zone"`
	Tables       int64          `json:"tables"`
	Hours        Hours          `json:"hours"`
	UnitPrice    int64          `json:"unit_price,omitempty"` // points for a table
	RefundWindow *time.Duration `json:"-"`                    // 24 hours when nil; 0: what is paid never comes back
	Hold         *time.Duration `json:"-"`                    // 10 minutes when nil
	DaysAhead    int            `json:"days_ahead,omitempty"` // 14 when 0
}

// MarshalJSON writes n as the API reads it.
func (n NewStore) MarshalJSON() ([]byte, error) {
	type plain NewStore
	wire := struct {
		plain
		RefundWindow *int64 `json:"refund_window,omitempty"`
		Hold         *int64 `json:"hold,omitempty"`
	}{plain: plain(n)}
	if err := errors.Join(seconds(&wire.RefundWindow, n.RefundWindow), seconds(&wire.Hold, n.Hold)); err != nil {
		return nil, err
	}
	return json.Marshal(wire)
}

// StoreEdit changes what is not nil, or empty. Slots that are published stay as they
// are.
type StoreEdit struct {
	Title       *string `json:"title,omitempty"`
	Description *string `json:"description,omitempty"`
	Tables      *int64  `json:"tables,omitempty"`
	Hours       Hours   `json:"hours,omitempty"` // all days anew
	DaysAhead   *int    `json:"days_ahead,omitempty"`
}

const storesPath = "/v1/stores"

func storePath(id int64) string { return fmt.Sprintf("%s/%d", storesPath, id) }

// CreateStore opens a store of the seller that c speaks for, and publishes its
// slots. [CodeStoreLimit] when he has three.
func (c *Client) CreateStore(ctx context.Context, n NewStore, options ...CallOption) (s Store, err error) {
	err = c.do(ctx, &call{method: http.MethodPost, path: storesPath, body: n, into: &s}, options...)
	return s, err
}

// Store answers a store. Anybody may ask.
func (c *Client) Store(ctx context.Context, id int64) (s Store, err error) {
	err = c.do(ctx, &call{method: http.MethodGet, path: storePath(id), into: &s})
	return s, err
}

type storePage struct {
	Stores []Store `json:"stores"`
	Next   string  `json:"next_cursor"`
}

// Stores are all that there are, of one seller or, with 0, of all. Anybody may ask.
func (c *Client) Stores(ctx context.Context, seller int64) iter.Seq2[Store, error] {
	query := filter{}
	query.number("seller", seller)
	return pages(ctx, c, storesPath, url.Values(query), func(p *storePage) ([]Store, string) { return p.Stores, p.Next })
}

// EditStore changes a store of the seller.
func (c *Client) EditStore(ctx context.Context, id int64, e StoreEdit) (s Store, err error) {
	err = c.do(ctx, &call{method: http.MethodPatch, path: storePath(id), body: e, into: &s})
	return s, err
}

// CloseStore closes a store of the seller for ever. [CodeStoreBooked] while somebody
// has booked, or waits for, a slot to come.
func (c *Client) CloseStore(ctx context.Context, id int64) error {
	return c.do(ctx, &call{method: http.MethodDelete, path: storePath(id)})
}

// Slot is a time at which a store has tables. It is a sale of kind [Event], too.
type Slot struct {
	At      time.Time `json:"slot"`
	Sale    int64     `json:"sale"`
	State   State     `json:"state"`
	Free    int64     `json:"free"`    // tables
	Waiting int64     `json:"waiting"` // requests in the line
}

// Slots are those of a day of the store's own calendar, such as 2030-01-31, in order.
// Anybody may ask.
func (c *Client) Slots(ctx context.Context, store int64, day string) ([]Slot, error) {
	var answer struct {
		Slots []Slot `json:"slots"`
	}
	err := c.do(ctx, &call{method: http.MethodGet, path: storePath(store) + "/slots", query: url.Values{"day": {day}}, into: &answer})
	return answer.Slots, err
}

type slotBody struct {
	Slot time.Time `json:"slot"`
}

// ReserveSlot books a table of a store for the buyer that c speaks for: confirmed and
// paid at once, or waiting in the line of the slot. [CodeInvalidSlot] when the store
// has no such time, [CodeUnknownSlot] when it cannot be booked yet.
func (c *Client) ReserveSlot(ctx context.Context, store int64, slot time.Time, options ...CallOption) (Receipt, error) {
	return c.ask(ctx, storePath(store)+"/reservations", slotBody{whole(slot)}, options)
}

// ChangeSlot books another slot of the same store instead of a booking: both, or
// neither. Its receipt is the new booking; once that is confirmed, the old one is
// cancelled.
func (c *Client) ChangeSlot(ctx context.Context, receipt string, slot time.Time, options ...CallOption) (Receipt, error) {
	return c.ask(ctx, receiptPath(receipt)+"/change", slotBody{whole(slot)}, options)
}

// Attendance is what became of a booking.
type Attendance string

// What became of it.
const (
	Completed Attendance = "completed"
	NoShow    Attendance = "no_show"
)

// Attend notes what became of a booking of the seller's store, once its slot has
// begun; [CodeTooEarly] before.
func (c *Client) Attend(ctx context.Context, receipt string, a Attendance) error {
	body := struct {
		Attendance Attendance `json:"attendance"`
	}{a}
	return c.do(ctx, &call{method: http.MethodPut, path: receiptPath(receipt) + "/attendance", body: body})
}
