package httpapi

import (
	"context"
	"strconv"

	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"

	"sluice/internal/accounts"
	"sluice/internal/audit"
	"sluice/internal/sale"
)

// An operator stops a sale, and has it sell on. Both take their turn in its stream, so the
// answer is that they are queued; what came of them is the state of the sale. Asked for
// what is so already, nothing happens: they take no key.

// suspendSale is POST /v1/operations/sales/{id}/suspend.
func (a *API) suspendSale(ctx context.Context, c *fiber.Ctx, who accounts.Who) error {
	id, err := saleID(c)
	if err != nil {
		return err
	}
	if err := readNothing(c); err != nil {
		return err
	}
	return a.order(ctx, c, who, sale.Suspend, id)
}

// resumeSale is POST /v1/operations/sales/{id}/resume: when an audit finds nothing broken
// in the sale, or by force.
func (a *API) resumeSale(asked context.Context, c *fiber.Ctx, who accounts.Who) error {
	id, err := saleID(c)
	if err != nil {
		return err
	}
	var force bool
	if err := readObject(c, field{name: "force", read: into(&force, truth), optional: true}); err != nil {
		return err
	}
	if !force {
		switch report, err := a.audited(asked, id); {
		case err != nil:
			return err
		case report.Verdict == audit.Broken:
			return &problem{code: saleBroken}
		case report.Verdict == audit.Busy:
			return &problem{code: auditUnsure}
		}
	}
	ctx, cancel := context.WithTimeout(a.auditing, a.workTimeout) // the audit may have taken all of asked
	defer cancel()
	return a.order(ctx, c, who, sale.Resume, id)
}

func (a *API) order(ctx context.Context, c *fiber.Ctx, who accounts.Who, verb sale.Verb, id int64) error {
	s, now, err := a.catalog.Sale(ctx, id)
	if err != nil {
		return err
	}
	if s.Shown(now) == sale.ShownScheduled { // its seller's business
		return &problem{code: code(sale.RefusedNotOpen), retryAfter: s.OpensAt.Time().Sub(now.Time())}
	}
	receipt, err := a.audit.Order(ctx, s.Partition, verb, id)
	if err != nil {
		return err
	}
	a.log.Info().Str("request_id", requestID(c)).Int64("admin", who.Account).Stringer("verb", verb).Int64("sale", id).Stringer("receipt", receipt).Msg("an admin stopped a sale, or had it sell on")
	c.Location("/v1/sales/" + strconv.FormatInt(id, 10))
	return c.Status(fiber.StatusAccepted).JSON(struct {
		Receipt uuid.UUID `json:"receipt"`
	}{receipt})
}
