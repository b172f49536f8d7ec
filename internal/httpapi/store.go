package httpapi

import (
	"context"
	"strconv"
	"time"

	"github.com/gofiber/fiber/v2"

	"sluice/internal/accounts"
	"sluice/internal/bookings"
	"sluice/internal/sale"
)

const storesPath = "/v1/stores/"

// storeBody is a store as JSON.
type storeBody struct {
	Store        int64     `json:"store"`
	Seller       int64     `json:"seller"`
	Title        string    `json:"title"`
	Description  string    `json:"description,omitempty"` // not in lists
	TimeZone     string    `json:"time_zone"`
	Tables       int64     `json:"tables"`
	Hours        hoursBody `json:"hours"`
	UnitPrice    int64     `json:"unit_price"`    // points per table
	RefundWindow int64     `json:"refund_window"` // seconds
	Hold         int64     `json:"hold"`          // seconds to pay in, for who comes out of the line
	DaysAhead    int       `json:"days_ahead"`    // days after today whose slots can be booked
	Closed       bool      `json:"closed,omitempty"`
	CreatedAt    time.Time `json:"created_at"`
}

func storeOf(s sale.Store) storeBody {
	return storeBody{
		Store: s.ID, Seller: s.Seller, Title: s.Title, Description: s.Description, TimeZone: s.TimeZone, Tables: s.Tables, Hours: hoursBody(s.Hours),
		UnitPrice: s.UnitPrice, RefundWindow: int64(s.RefundWindow / time.Second), Hold: int64(s.Hold / time.Second), DaysAhead: s.DaysAhead,
		Closed: s.Closed, CreatedAt: s.CreatedAt.Time(),
	}
}

// What a store is made of, beside what a sale has, too.
var (
	timeZone = quoted(line(64))
	tables   = whole(1, sale.MaxTables)
	days     = reader[int](func(text string) (int, string) {
		n, rule := whole(1, sale.MaxDaysAhead)(text)
		return int(n), rule
	})
)

// createStore is POST /v1/stores.
func (a *API) createStore(ctx context.Context, c *fiber.Ctx, who accounts.Who) error {
	key, err := idempotencyKey(c)
	if err != nil {
		return err
	}
	s := sale.Store{Seller: who.Account, RefundWindow: sale.DefaultRefund, Hold: sale.DefaultHold, DaysAhead: sale.DefaultDaysAhead}
	if err := readObject(c,
		field{name: "title", read: into(&s.Title, title)},
		field{name: "description", read: into(&s.Description, description), optional: true},
		field{name: "time_zone", read: into(&s.TimeZone, timeZone)},
		field{name: "tables", read: into(&s.Tables, tables)},
		field{name: "hours", read: into(&s.Hours, hours)},
		field{name: "unit_price", read: into(&s.UnitPrice, unitPrice), optional: true},
		field{name: "refund_window", read: into(&s.RefundWindow, refundWindow), optional: true},
		field{name: "hold", read: into(&s.Hold, hold), optional: true},
		field{name: "days_ahead", read: into(&s.DaysAhead, days), optional: true},
	); err != nil {
		return err
	}
	made, known, err := a.bookings.Create(ctx, s, key)
	if err != nil {
		return err
	}
	replayed(c, known)
	c.Location(storesPath + strconv.FormatInt(made.ID, 10))
	return c.Status(fiber.StatusCreated).JSON(storeOf(made))
}

// showStore is GET /v1/stores/{id}.
func (a *API) showStore(ctx context.Context, c *fiber.Ctx, _ accounts.Who) error {
	id, err := saleID(c)
	if err != nil {
		return err
	}
	s, err := a.bookings.Store(ctx, id)
	if err != nil {
		return err
	}
	return c.JSON(storeOf(s))
}

// changeStore is PATCH /v1/stores/{id}. What is published stays as it is.
func (a *API) changeStore(ctx context.Context, c *fiber.Ctx, who accounts.Who) error {
	id, err := saleID(c)
	if err != nil {
		return err
	}
	var e bookings.Edit
	if err := readObject(c,
		field{name: "title", read: given(&e.Title, title), optional: true},
		field{name: "description", read: given(&e.Description, description), optional: true},
		field{name: "tables", read: given(&e.Tables, tables), optional: true},
		field{name: "hours", read: given(&e.Hours, hours), optional: true},
		field{name: "days_ahead", read: given(&e.DaysAhead, days), optional: true},
	); err != nil {
		return err
	}
	if e == (bookings.Edit{}) {
		return invalid(wholeBody, "must have something to change")
	}
	s, err := a.bookings.Edit(ctx, who.Account, id, e)
	if err != nil {
		return err
	}
	return c.JSON(storeOf(s))
}

// closeStore is DELETE /v1/stores/{id}.
func (a *API) closeStore(ctx context.Context, c *fiber.Ctx, who accounts.Who) error {
	id, err := saleID(c)
	if err != nil {
		return err
	}
	if err := a.bookings.Close(ctx, who.Account, id); err != nil {
		return err
	}
	return nothing(c)
}

// storesBody is a page of stores as JSON.
type storesBody struct {
	Stores     []storeBody `json:"stores"`
	NextCursor string      `json:"next_cursor,omitempty"`
}

// listStores is GET /v1/stores.
func (a *API) listStores(ctx context.Context, c *fiber.Ctx, who accounts.Who) error {
	var filter bookings.Filter
	page, err := readPage(c, listStores, 0, param{"seller", into(&filter.Seller, whole(1, sale.MaxPoints))})
	if err != nil {
		return err
	}
	filter.Limit, filter.After = page.limit, page.after.id
	found, more, err := a.bookings.Stores(ctx, who.Account, filter)
	if err != nil {
		return err
	}
	body := storesBody{Stores: make([]storeBody, len(found))}
	for i, s := range found {
		body.Stores[i] = storeOf(s)
		body.Stores[i].Description = ""
		body.NextCursor = page.next(more, position{id: s.ID})
	}
	return c.JSON(body)
}
