package web

import (
	"net/http"
	"strconv"
	"time"

	"sluice/client"
)

// stores is GET /stores: places with tables.
func (f *Front) stores(v *visit) error {
	some, more, err := take(v.api.Stores(v.ctx, 0), v.shown())
	if err != nil {
		return err
	}
	body := struct {
		Stores []client.Store
		More   int
	}{some, 0}
	if more {
		body.More = v.shown() + pageSize
	}
	v.render(http.StatusOK, "stores", v.say("stores.title"), body)
	return nil
}

// day is a day of a store's calendar.
type day struct {
	Date string // 2030-01-31
	At   time.Time
	On   bool // it is the one that is shown
}

// place is the page of a store: a day with its slots.
type place struct {
	client.Store
	Days    []day
	Slots   []slot
	Instead string // the receipt of a booking that is to be changed
	Week    []weekday
}

type slot struct {
	client.Slot
	Time  string // by the store's clock
	Past  bool
	Taken bool // some of it, or all
}

type weekday struct{ Name, Hours string }

// store is GET /stores/{id}: ?day= chooses the day, ?instead= changes a booking.
func (f *Front) store(v *visit) error {
	id, err := v.number()
	if err != nil {
		return err
	}
	body := place{Instead: v.r.URL.Query().Get("instead")}
	if body.Store, err = v.api.Store(v.ctx, id); err != nil {
		return err
	}
	for _, name := range weekdays {
		if hours := body.Hours[name]; hours != "" {
			body.Week = append(body.Week, weekday{"day." + name, hours})
		}
	}
	if !body.Closed {
		if body.Days, body.Slots, err = v.dayOf(body.Store, zoneOf(body.Store)); err != nil {
			return err
		}
	}
	v.render(http.StatusOK, "store", body.Title, body)
	return nil
}

// zoneOf is the zone that a store's clock shows; UTC where this machine does not know it.
func zoneOf(s client.Store) *time.Location {
	zone, err := time.LoadLocation(s.TimeZone)
	if err != nil {
		return time.UTC
	}
	return zone
}

// dayOf answers the days that a store can be booked for, and the slots of the one that the
// visitor has chosen.
func (v *visit) dayOf(s client.Store, zone *time.Location) (days []day, slots []slot, err error) {
	now := time.Now().In(zone)
	for i := range s.DaysAhead + 1 {
		at := time.Date(now.Year(), now.Month(), now.Day()+i, 12, 0, 0, 0, zone)
		days = append(days, day{Date: at.Format(time.DateOnly), At: at})
	}
	chosen := 0
	if len(days) > 1 && now.Hour() >= lateHour {
		chosen = 1
	}
	for i, d := range days {
		if d.Date == v.r.URL.Query().Get("day") {
			chosen = i
		}
	}
	days[chosen].On = true
	all, err := v.api.Slots(v.ctx, s.ID, days[chosen].Date)
	if err != nil {
		return nil, nil, err
	}
	for _, at := range all {
		slots = append(slots, slot{at, at.At.In(zone).Format("15:04"), !at.At.After(now), at.Free < s.Tables})
	}
	return days, slots, nil
}

// lateHour is when hardly anything is left of today.
const lateHour = 20

// book is POST /stores/{id}/book: a table, or another one instead of one that is booked.
func (f *Front) book(v *visit) error {
	id, err := v.number()
	if err != nil {
		return err
	}
	at, err := time.Parse(time.RFC3339, v.r.PostFormValue("slot"))
	if err != nil {
		return v.go303("/stores/" + strconv.FormatInt(id, 10))
	}
	var r client.Receipt
	if instead := v.r.PostFormValue("instead"); instead != "" {
		r, err = v.api.ChangeSlot(v.ctx, instead, at, v.keyed()...)
	} else {
		r, err = v.api.ReserveSlot(v.ctx, id, at, v.keyed()...)
	}
	if err != nil {
		return err
	}
	return v.go303("/receipts/" + r.ID)
}
