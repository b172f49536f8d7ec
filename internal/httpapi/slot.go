package httpapi

import (
	"context"
	"errors"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"

	"sluice/internal/accounts"
	"sluice/internal/admission"
	"sluice/internal/bookings"
	"sluice/internal/sale"
)

// slotsBody is the slots of a store's day as JSON, in their order.
type slotsBody struct {
	Store int64      `json:"store"`
	Day   string     `json:"day"`
	Slots []slotBody `json:"slots"`
	Now   time.Time  `json:"now"` // moment that they are of
}

type slotBody struct {
	Slot    time.Time  `json:"slot"`
	Sale    int64      `json:"sale"`
	State   sale.Shown `json:"state"`
	Free    int64      `json:"free"`    // tables
	Waiting int64      `json:"waiting"` // receipts in the line
}

// day reads a date.
func day(text string) (sale.Day, string) {
	d, err := sale.ParseDay(text)
	if err != nil || d.String() != text || d.Year < firstMoment.Year() || d.Year >= endOfTime.Year() {
		return d, "must be a date as in 2030-01-31"
	}
	return d, ""
}

// listSlots is GET /v1/stores/{id}/slots?day=….
func (a *API) listSlots(ctx context.Context, c *fiber.Ctx, _ accounts.Who) error {
	id, err := saleID(c)
	if err != nil {
		return err
	}
	var on *sale.Day
	if _, err := readQuery(c, param{"day", given(&on, day)}); err != nil {
		return err
	}
	if on == nil {
		return &problem{code: badQuery, fields: []fieldFault{{Parameter: "day", Detail: "is missing"}}}
	}
	stands, now, err := a.bookings.Slots(ctx, id, *on)
	if err != nil {
		return err
	}
	body := slotsBody{Store: id, Day: on.String(), Slots: make([]slotBody, len(stands)), Now: now.Time()}
	for i, s := range stands {
		body.Slots[i] = slotBody{Slot: s.StartsAt.Time(), Sale: s.ID, State: s.Shown(now), Free: s.Free, Waiting: s.Waiting}
	}
	return c.JSON(body)
}

// slotOf answers the sale of a store's slot, or why it cannot be booked.
func (a *API) slotOf(ctx context.Context, store int64, at sale.Instant) (int64, error) {
	id, err := a.bookings.Slot(ctx, store, at)
	switch {
	case errors.Is(err, bookings.ErrSlot):
		var faults sale.Faults
		errors.As(err, &faults)
		return 0, &problem{code: invalidSlot, fields: pointed(faults)}
	case errors.Is(err, sale.ErrUnknown):
		if _, err := a.bookings.Store(ctx, store); err != nil {
			return 0, err
		}
		return 0, &problem{code: unknownSlot}
	}
	return id, err
}

// reserveSlot is POST /v1/stores/{id}/reservations.
func (a *API) reserveSlot(ctx context.Context, c *fiber.Ctx, who accounts.Who) error {
	store, by, err := a.asked(c, who)
	if err != nil {
		return err
	}
	var at sale.Instant
	if err := readObject(c, field{name: "slot", read: into(&at, instant)}); err != nil {
		return err
	}
	id, err := a.slotOf(ctx, store, at)
	if err != nil {
		return err
	}
	standing, err := a.admission.Reserve(ctx, by, id, 1, uuid.Nil)
	return a.accepted(ctx, c, by, standing, err)
}

// changeSlot is POST /v1/receipts/{id}/change: another slot of the same store.
func (a *API) changeSlot(ctx context.Context, c *fiber.Ctx, who accounts.Who) error {
	target, err := receiptID(c)
	if err != nil {
		return err
	}
	by, err := a.asker(c, who)
	if err != nil {
		return err
	}
	var at sale.Instant
	if err := readObject(c, field{name: "slot", read: into(&at, instant)}); err != nil {
		return err
	}
	booked, err := a.receipts.Get(ctx, who.Account, target)
	if err != nil {
		return err
	}
	old, _, err := a.catalog.Sale(ctx, booked.Sale)
	switch {
	case err != nil:
		return err
	case old.Store == 0:
		return admission.ErrKind
	}
	id, err := a.slotOf(ctx, old.Store, at)
	if err != nil {
		return err
	}
	standing, err := a.admission.ChangeSlot(ctx, by, target, id)
	return a.accepted(ctx, c, by, standing, err)
}

// attend is PUT /v1/receipts/{id}/attendance.
func (a *API) attend(ctx context.Context, c *fiber.Ctx, who accounts.Who) error {
	id, err := receiptID(c)
	if err != nil {
		return err
	}
	var word string
	if err := readObject(c, field{name: "attendance", read: into(&word, quoted(oneOf("completed", "no_show")))}); err != nil {
		return err
	}
	if err := a.bookings.Attend(ctx, who.Account, id, word); err != nil {
		return err
	}
	return nothing(c)
}
