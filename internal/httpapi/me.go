package httpapi

import (
	"context"
	"errors"
	"time"

	"github.com/gofiber/fiber/v2"

	"sluice/internal/accounts"
)

const mePath = "/v1/me"

// profileBody is an account as JSON.
type profileBody struct {
	Account   int64         `json:"account"`
	Role      accounts.Role `json:"role"`
	Email     string        `json:"email,omitempty"` // of an account that can sign in
	Notices   bool          `json:"notices"`         // whether it is told what becomes of its requests
	CreatedAt time.Time     `json:"created_at"`
}

func showProfile(c *fiber.Ctx, p accounts.Profile, err error) error {
	if err != nil {
		return err
	}
	return c.JSON(profileOf(p))
}

func profileOf(p accounts.Profile) profileBody {
	return profileBody{Account: p.Account, Role: p.Role, Email: p.Email, Notices: p.Notices, CreatedAt: inMillis(p.CreatedAt)}
}

// showMe is GET /v1/me.
func (a *API) showMe(ctx context.Context, c *fiber.Ctx, who accounts.Who) error {
	profile, err := a.accounts.Profile(ctx, who.Account)
	return showProfile(c, profile, err)
}

// changeMe is PATCH /v1/me.
func (a *API) changeMe(ctx context.Context, c *fiber.Ctx, who accounts.Who) error {
	var changes accounts.Changes
	if err := readObject(c,
		field{name: "current_password", read: into(&changes.CurrentPassword, quoted(anyText)), optional: true, needed: func() bool {
			return changes.Email != nil || changes.Password != nil // it is not asked for a switch
		}},
		field{name: "email", read: given(&changes.Email, quoted(anyText)), optional: true},
		field{name: "password", read: given(&changes.Password, quoted(anyText)), optional: true},
		field{name: "notices", read: given(&changes.Notices, truth), optional: true},
	); err != nil {
		return err
	}
	if changes.Email == nil && changes.Password == nil && changes.Notices == nil {
		return invalid(wholeBody, "must have email, password or notices")
	}
	profile, err := a.accounts.Change(ctx, who, changes)
	return showProfile(c, profile, wrongPassword(err))
}

// deleteMe is DELETE /v1/me.
func (a *API) deleteMe(ctx context.Context, c *fiber.Ctx, who accounts.Who) error {
	var password string
	if err := readObject(c, field{name: "current_password", read: into(&password, quoted(anyText))}); err != nil {
		return err
	}
	if err := a.accounts.Delete(ctx, who.Account, password); err != nil {
		return wrongPassword(err)
	}
	return nothing(c)
}

// wrongPassword makes bad credentials a 403 for who is signed in: after a 401 a
// client would renew a token that is good, and ask again in vain.
func wrongPassword(err error) error {
	if errors.Is(err, accounts.ErrCredentials) {
		return &problem{code: badCredentials, status: fiber.StatusForbidden}
	}
	return err
}
