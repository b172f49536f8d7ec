package bookings

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"sluice/internal/admission"
	"sluice/internal/embedded/embeddedtest"
	"sluice/internal/housetest"
	"sluice/internal/sale"
)

func TestMain(m *testing.M) { embeddedtest.Main(m) }

// house is Bookings over real servers, with a consumer at work.
type house struct {
	*Bookings
	*housetest.House
}

func open(t *testing.T) *house {
	h := housetest.Open(t)
	return &house{New(h.Partitions, h.Ledger), h}
}

// inn is a store with two tables that is open all day, every day.
func (h *house) inn() sale.Store {
	s := sale.Store{
		Seller: h.Seller, Title: "Inn", TimeZone: "UTC", Tables: 2, UnitPrice: 10,
		RefundWindow: time.Hour, Hold: time.Minute, DaysAhead: 3,
	}
	for i := range s.Hours {
		s.Hours[i] = &sale.Span{Opens: 0, Closes: 23*60 + 30}
	}
	return s
}

func (h *house) create() sale.Store {
	h.T.Helper()
	s, _, err := h.Create(h.Ctx, h.inn(), "")
	h.Must(err)
	return s
}

// day is a date of the store, so many days from now.
func (h *house) day(s sale.Store, ahead int) sale.Day {
	h.T.Helper()
	today, err := s.Today(sale.At(time.Now()))
	h.Must(err)
	return today.Add(ahead)
}

func (h *house) slots(s sale.Store, ahead int) []*sale.Stand {
	h.T.Helper()
	slots, now, err := h.Slots(h.Ctx, s.ID, h.day(s, ahead))
	h.Must(err)
	if d := sale.At(time.Now()) - now; d < 0 || d > 60_000 {
		h.T.Errorf("slots as of %s", now.Time())
	}
	return slots
}

// reserve asks for a table and waits for the outcome.
func (h *house) reserve(slot, buyer int64) sale.Receipt {
	h.T.Helper()
	return h.Outcome(h.Admission.Reserve(h.Ctx, admission.Asker{Account: buyer}, slot, 1, uuid.Nil))
}

// exec writes past the code.
func (h *house) exec(statement string, args ...any) {
	h.T.Helper()
	conn, err := pgx.Connect(h.Ctx, h.URL)
	h.Must(err)
	defer conn.Close(h.Ctx)
	_, err = conn.Exec(h.Ctx, statement, args...)
	h.Must(err)
}
