package httpapi

import (
	"context"
	"errors"

	"github.com/gofiber/fiber/v2"

	"sluice/internal/accounts"
	"sluice/internal/audit"
	"sluice/internal/sale"
)

// runAudit is POST /v1/operations/audits. It changes nothing, so it takes no key. What one
// request may take is not enough for it: it has auditTime, and ends when the API does.
func (a *API) runAudit(asked context.Context, c *fiber.Ctx, _ accounts.Who) error {
	var id int64
	if err := readObject(c, field{name: "sale", read: into(&id, whole(1, sale.MaxPoints)), optional: true}); err != nil {
		return err
	}
	report, err := a.audited(asked, id)
	if err != nil {
		return err
	}
	return c.JSON(&report)
}

// audited audits one sale, or everything when it is 0.
func (a *API) audited(asked context.Context, id int64) (audit.Report, error) {
	if err := a.audit.Reaches(asked); err != nil { // a server that hangs is not an audit that takes long
		return audit.Report{}, err
	}
	ctx, cancel := context.WithTimeout(a.auditing, a.auditTime)
	defer cancel()
	report, err := a.audit.Alone(ctx, id)
	switch {
	case err != nil && errors.Is(ctx.Err(), context.DeadlineExceeded):
		return report, &problem{code: auditTooLong}
	case err != nil && ctx.Err() != nil:
		return report, &problem{code: unavailable, detail: "this process is going down"}
	}
	return report, err
}
