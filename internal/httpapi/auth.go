package httpapi

import (
	"context"
	"time"

	"github.com/gofiber/fiber/v2"

	"sluice/internal/accounts"
)

// tokensBody is a session as JSON.
type tokensBody struct {
	Account          int64         `json:"account"`
	Role             accounts.Role `json:"role"`
	AccessToken      string        `json:"access_token"` // for Authorization: Bearer
	AccessExpiresAt  time.Time     `json:"access_expires_at"`
	RefreshToken     string        `json:"refresh_token"` // works once
	RefreshExpiresAt time.Time     `json:"refresh_expires_at"`
}

// signedInAs answers tokens with status, or why there are none.
func signedInAs(c *fiber.Ctx, status int, t accounts.Tokens, err error) error {
	if err != nil {
		return err
	}
	return c.Status(status).JSON(tokensBody{
		Account: t.Account, Role: t.Role,
		AccessToken: t.Access, AccessExpiresAt: inMillis(t.AccessExpires),
		RefreshToken: t.Refresh, RefreshExpiresAt: inMillis(t.RefreshExpires),
	})
}

// inMillis is t as all our times are answered: UTC, in whole milliseconds.
func inMillis(t time.Time) time.Time { return t.UTC().Truncate(time.Millisecond) }

// ip is where attempts are counted to.
func (a *API) ip(c *fiber.Ctx) string {
	client, _ := a.from(c.Context())
	return client.String()
}

// signUp is POST /v1/auth/signup. An admin is made by the command line only.
func (a *API) signUp(ctx context.Context, c *fiber.Ctx, _ accounts.Who) error {
	var email, password string
	var role accounts.Role
	if err := readObject(c,
		field{name: "email", read: into(&email, quoted(anyText))},
		field{name: "password", read: into(&password, quoted(anyText))},
		field{name: "role", read: into(&role, quoted(oneOf(accounts.Buyer, accounts.Seller)))},
	); err != nil {
		return err
	}
	tokens, err := a.accounts.SignUp(ctx, email, password, role, a.ip(c))
	return signedInAs(c, fiber.StatusCreated, tokens, err)
}

// signIn is POST /v1/auth/signin.
func (a *API) signIn(ctx context.Context, c *fiber.Ctx, _ accounts.Who) error {
	var email, password string
	if err := readObject(c,
		field{name: "email", read: into(&email, quoted(anyText))},
		field{name: "password", read: into(&password, quoted(anyText))},
	); err != nil {
		return err
	}
	tokens, err := a.accounts.SignIn(ctx, email, password, a.ip(c))
	return signedInAs(c, fiber.StatusOK, tokens, err)
}

// refresh is POST /v1/auth/refresh.
func (a *API) refresh(ctx context.Context, c *fiber.Ctx, _ accounts.Who) error {
	token, err := readRefreshToken(c)
	if err != nil {
		return err
	}
	tokens, err := a.accounts.Refresh(ctx, token)
	return signedInAs(c, fiber.StatusOK, tokens, err)
}

// signOut is POST /v1/auth/signout. Whose session has ended already is signed out.
func (a *API) signOut(ctx context.Context, c *fiber.Ctx, _ accounts.Who) error {
	token, err := readRefreshToken(c)
	if err != nil {
		return err
	}
	if err := a.accounts.SignOut(ctx, token); err != nil {
		return err
	}
	return nothing(c)
}

func readRefreshToken(c *fiber.Ctx) (token string, err error) {
	return token, readObject(c, field{name: "refresh_token", read: into(&token, quoted(anyText))})
}

// nothing answers that all is done and there is nothing to say.
func nothing(c *fiber.Ctx) error {
	c.Status(fiber.StatusNoContent)
	return nil
}
