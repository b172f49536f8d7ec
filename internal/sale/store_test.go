package sale

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"
)

// tavern is open from half past ten to noon every day but Tuesday.
func tavern(zone string) Store {
	s := Store{
		ID: 7, Partition: 3, Seller: 5, Title: "Tavern", TimeZone: zone, Tables: 4, UnitPrice: 10,
		RefundWindow: 24 * time.Hour, Hold: 10 * time.Minute, DaysAhead: 14,
	}
	for i := range s.Hours {
		s.Hours[i] = &Span{10*60 + 30, 12 * 60}
	}
	s.Hours[1] = nil
	return s
}

// atNight is a store that is open when clocks are changed.
func atNight(zone string) Store {
	s := tavern(zone)
	for i := range s.Hours {
		s.Hours[i] = &Span{0, 4 * 60}
	}
	return s
}

func day(t *testing.T, text string) Day {
	t.Helper()
	d, err := ParseDay(text)
	if err != nil || d.String() != text {
		t.Fatalf("%s is read as %s, %v", text, d, err)
	}
	return d
}

func instant(t *testing.T, text string) Instant {
	t.Helper()
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		t.Fatal(err)
	}
	return At(at)
}

func TestSlots(t *testing.T) {
	late := tavern("UTC")
	late.Hours[0] = &Span{23 * 60, lastSlot}
	once := tavern("UTC")
	once.Hours[0] = &Span{0, 0}
	for _, test := range []struct {
		name  string
		store Store
		day   string
		want  string // in UTC; the date is named where it changes
	}{
		{"both ends", tavern("UTC"), "2026-11-23", "2026-11-23 10:30 11:00 11:30 12:00"},
		{"closed on Tuesdays", tavern("UTC"), "2026-11-24", ""},
		{"at the end of the day", late, "2026-11-23", "2026-11-23 23:00 23:30"},
		{"one at midnight", once, "2026-11-23", "2026-11-23 00:00"},
		{"west of Greenwich", tavern("America/New_York"), "2026-11-23", "2026-11-23 15:30 16:00 16:30 17:00"},
		{"a local date that begins the day before", tavern("Pacific/Auckland"), "2026-11-23", "2026-11-22 21:30 22:00 22:30 23:00"},
		{"three quarters of an hour", tavern("Asia/Kathmandu"), "2026-11-23", "2026-11-23 04:45 05:15 05:45 06:15"},
		{"spring in Berlin skips 02:00 and 02:30", atNight("Europe/Berlin"), "2026-03-29",
			"2026-03-28 23:00 23:30 2026-03-29 00:00 00:30 01:00 01:30 02:00"},
		{"autumn in Berlin has 02:00 and 02:30 twice", atNight("Europe/Berlin"), "2026-10-25",
			"2026-10-24 22:00 22:30 23:00 23:30 2026-10-25 00:00 00:30 02:00 02:30 03:00"},
		{"São Paulo skipped midnight", atNight("America/Sao_Paulo"), "2018-11-04",
			"2018-11-04 03:00 03:30 04:00 04:30 05:00 05:30 06:00"},
		{"Havana had midnight twice", atNight("America/Havana"), "2026-11-01",
			"2026-11-01 04:00 04:30 06:00 06:30 07:00 07:30 08:00 08:30 09:00"},
		{"Lord Howe skips half an hour", atNight("Australia/Lord_Howe"), "2026-10-04",
			"2026-10-03 13:30 14:00 14:30 15:00 15:30 16:00 16:30 17:00"},
		{"Lord Howe has half an hour twice", atNight("Australia/Lord_Howe"), "2026-04-05",
			"2026-04-04 13:00 13:30 14:00 14:30 15:30 16:00 16:30 17:00 17:30"},
		{"Samoa had no such day", atNight("Pacific/Apia"), "2011-12-30", ""},
		{"no such zone", tavern("Europe/Nowhere"), "2026-11-23", ""},
	} {
		d := day(t, test.day)
		slots := test.store.Slots(d)
		var got []string
		last := ""
		for _, at := range slots {
			if date := at.Time().Format(time.DateOnly); date != last {
				got, last = append(got, date), date
			}
			got = append(got, at.Time().Format("15:04"))
		}
		if text := strings.Join(got, " "); text != test.want {
			t.Errorf("%s: %s, not %s", test.name, text, test.want)
		}
		from, to, err := test.store.Bounds(d)
		for i, at := range slots {
			if err := test.store.Bookable(at, at-1); err != nil {
				t.Errorf("%s: %s is offered and cannot be booked: %v", test.name, at.Time(), err)
			}
			if err != nil || at < from || at >= to || i > 0 && at <= slots[i-1] {
				t.Errorf("%s: %s is not between %s and %s, %v", test.name, at.Time(), from.Time(), to.Time(), err)
			}
			if today, err := test.store.Today(at); err != nil || today != d {
				t.Errorf("%s: %s is on %s, %v", test.name, at.Time(), today, err)
			}
		}
	}
}

// TestOnlyWhatIsOfferedIsBookable tries every quarter of an hour of a whole year of
// changing clocks.
func TestOnlyWhatIsOfferedIsBookable(t *testing.T) {
	for _, zone := range []string{"Europe/Berlin", "Australia/Lord_Howe", "America/Havana", "Asia/Kathmandu"} {
		s := atNight(zone)
		s.Hours[1] = nil
		offered := map[Instant]bool{}
		for d := (Day{2025, time.December, 31}); d.Year < 2027; d = d.Add(1) {
			for _, at := range s.Slots(d) {
				offered[at] = true
			}
		}
		n := 0
		for at := instant(t, "2026-01-01T00:00:00Z"); at < instant(t, "2026-12-31T00:00:00Z"); at = at.Add(15 * time.Minute) {
			err := s.Bookable(at, 0)
			if (err == nil) != offered[at] {
				t.Fatalf("%s: %s is offered: %t, bookable: %v", zone, at.Time(), offered[at], err)
			}
			if err == nil {
				n++
			}
		}
		if n < 312*9-9 {
			t.Errorf("%s: %d slots", zone, n)
		}
	}
}

func TestBookable(t *testing.T) {
	berlin, night := tavern("Europe/Berlin"), atNight("Europe/Berlin")
	now := instant(t, "2026-01-01T00:00:00Z")
	for _, test := range []struct {
		store Store
		at    string
		now   Instant
		rule  string // a word of it; "": none
	}{
		{berlin, "2026-11-23T09:30:00Z", now, ""},
		{berlin, "2026-11-23T11:00:00Z", now, ""},
		{berlin, "2026-11-23T10:30:00+01:00", now, ""},
		{berlin, "2026-11-23T09:00:00Z", now, "hours of the store"},
		{berlin, "2026-11-23T11:30:00Z", now, "hours of the store"},
		{berlin, "2026-11-24T09:30:00Z", now, "hours of the store"}, // a Tuesday
		{berlin, "2026-11-23T09:45:00Z", now, "half hour"},
		{berlin, "2026-11-23T09:30:01Z", now, "half hour"},
		{berlin, "2026-11-23T09:30:00.001Z", now, "half hour"},
		{berlin, "2026-11-23T09:30:00Z", instant(t, "2026-11-23T09:30:00Z"), "past"}, // it closes when it begins
		{berlin, "2026-11-23T09:30:00Z", instant(t, "2026-11-23T09:29:59Z"), ""},
		{night, "2026-10-25T00:30:00Z", now, ""}, // 02:30, the first time
		{night, "2026-10-25T01:30:00Z", now, "first of the two"},
		{night, "2026-03-29T01:30:00Z", now, ""}, // 03:30: there is no other
	} {
		err := test.store.Bookable(instant(t, test.at), test.now)
		var faults Faults
		switch {
		case test.rule == "" && err != nil:
			t.Errorf("%s: %v", test.at, err)
		case test.rule != "" && (!errors.As(err, &faults) || len(faults) != 1 || faults[0].Field != "slot" || !strings.Contains(faults[0].Rule, test.rule)):
			t.Errorf("%s: %v, not that it %q", test.at, err, test.rule)
		}
	}
	past := berlin.Bookable(instant(t, "2026-11-23T09:45:00Z"), instant(t, "2027-01-01T00:00:00Z"))
	if faults := (Faults)(nil); !errors.As(past, &faults) || len(faults) != 2 {
		t.Errorf("not every fault at once: %v", past)
	}
	nowhere := tavern("Europe/Nowhere")
	if err := nowhere.Bookable(now, 0); err == nil || errors.As(err, new(Faults)) {
		t.Errorf("a zone that is not known here: %v", err)
	}
}

func TestStoreRules(t *testing.T) {
	for _, good := range []func(*Store){
		func(*Store) {},
		func(s *Store) { s.TimeZone = "UTC" },
		func(s *Store) { s.Hours = Hours{6: {0, lastSlot}} },
		func(s *Store) { s.Hours[3] = &Span{9 * 60, 9 * 60} },
		func(s *Store) {
			s.Tables, s.UnitPrice, s.RefundWindow, s.DaysAhead = MaxTables, MaxPoints/MaxTables, 0, MaxDaysAhead
		},
	} {
		s := tavern("Europe/Berlin")
		if good(&s); s.Check() != nil {
			t.Errorf("%+v: %v", s, s.Check())
		}
	}
	for field, bad := range map[string][]func(*Store){
		"title":         {func(s *Store) { s.Title = " " }, func(s *Store) { s.Title = strings.Repeat("ä", MaxTitle+1) }, func(s *Store) { s.Title = "a\x00" }},
		"description":   {func(s *Store) { s.Description = strings.Repeat("ä", MaxDescription+1) }},
		"time_zone":     {func(s *Store) { s.TimeZone = "" }, func(s *Store) { s.TimeZone = "Local" }, func(s *Store) { s.TimeZone = "../etc/passwd" }, func(s *Store) { s.TimeZone = "Mars/Base" }},
		"tables":        {func(s *Store) { s.Tables = 0 }, func(s *Store) { s.Tables = MaxTables + 1 }},
		"unit_price":    {func(s *Store) { s.UnitPrice = -1 }, func(s *Store) { s.UnitPrice = MaxPoints/MaxTables + 1 }},
		"refund_window": {func(s *Store) { s.RefundWindow = -1 }, func(s *Store) { s.RefundWindow = MaxRefundWindow + 1 }, func(s *Store) { s.RefundWindow = 1 }},
		"hold":          {func(s *Store) { s.Hold = 0 }, func(s *Store) { s.Hold = MaxHold + time.Second }, func(s *Store) { s.Hold = 1500 * time.Millisecond }},
		"days_ahead":    {func(s *Store) { s.DaysAhead = 0 }, func(s *Store) { s.DaysAhead = MaxDaysAhead + 1 }},
		"hours": {
			func(s *Store) { s.Hours = Hours{} },
			func(s *Store) { s.Hours[0] = &Span{-30, 60} },
			func(s *Store) { s.Hours[0] = &Span{0, 24 * 60} },
			func(s *Store) { s.Hours[0] = &Span{15, 60} },
			func(s *Store) { s.Hours[0] = &Span{0, 75} },
			func(s *Store) { s.Hours[0] = &Span{90, 60} },
		},
	} {
		for i, change := range bad {
			s := tavern("Europe/Berlin")
			change(&s)
			var faults Faults
			if !errors.As(s.Check(), &faults) || len(faults) != 1 || faults[0].Field != field {
				t.Errorf("%s %d: %v", field, i, s.Check())
			}
		}
	}
}

// TestSlotIsASale: what a checked store makes of its times obeys the rules of sales.
func TestSlotIsASale(t *testing.T) {
	s := tavern("Europe/Berlin")
	now := instant(t, "2026-11-22T00:00:00Z")
	for _, at := range s.Slots(day(t, "2026-11-23")) {
		slot := s.Slot(at, now)
		if err := slot.Check(now); err != nil {
			t.Error(err)
		}
		if slot.Stock != 4 || slot.Limit != 1 || slot.ClosesAt != at || slot.StartsAt != at || slot.Store != 7 || slot.Partition != 3 || slot.LineMost != 100 {
			t.Errorf("%+v", slot)
		}
	}
	s.Tables, s.UnitPrice = MaxTables, MaxPoints/MaxTables
	if err := s.Slot(now.Add(time.Hour), now).Check(now); err != nil {
		t.Error(err)
	}
}

func TestStoreSum(t *testing.T) {
	sums := map[uint64]bool{}
	for _, change := range []func(*Store){
		func(*Store) {},
		func(s *Store) { s.Title = "Inn" },
		func(s *Store) { s.Description = "Inn" },
		func(s *Store) { s.TimeZone = "UTC" },
		func(s *Store) { s.Tables++ },
		func(s *Store) { s.UnitPrice++ },
		func(s *Store) { s.Hours[2] = nil },
		func(s *Store) { s.Hours[2] = &Span{0, 0} },
		func(s *Store) { s.DaysAhead++ },
	} {
		s := tavern("Europe/Berlin")
		change(&s)
		sums[s.Sum()] = true
	}
	s := tavern("Europe/Berlin")
	s.ID, s.Partition, s.CreatedAt = 9, 9, 9
	sums[s.Sum()] = true
	if len(sums) != 9 {
		t.Errorf("%d fingerprints", len(sums))
	}
}

func TestDay(t *testing.T) {
	for _, bad := range []string{"", "2026-02-29", "2026-13-01", "26-01-01", "2026-11-23T00:00:00Z", "2026-1-1"} {
		if d, err := ParseDay(bad); err == nil {
			t.Errorf("%q is read as %s", bad, d)
		}
	}
	d := day(t, "2026-12-30")
	if next := d.Add(3); next.String() != "2027-01-02" || next.Compare(d) != 1 || d.Compare(next) != -1 || next.Add(-3) != d || d.Weekday() != time.Wednesday {
		t.Errorf("three days after %s is %s", d, next)
	}
	if !slices.IsSortedFunc([]Day{d, d, d.Add(1), d.Add(32), d.Add(366)}, Day.Compare) {
		t.Error("not in order")
	}
}
