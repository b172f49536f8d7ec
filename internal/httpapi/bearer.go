package httpapi

import (
	"strings"

	"github.com/gofiber/fiber/v2"

	"sluice/internal/accounts"
)

// errNoToken: there is no Authorization header at all, nor a cookie that counts.
var errNoToken = &problem{code: unauthorized}

// who answers whose token the request carries.
func (a *API) who(c *fiber.Ctx) (accounts.Who, error) {
	values := c.Request().Header.PeekAll(fiber.HeaderAuthorization)
	switch len(values) {
	case 0:
		if token := a.cookie(c); token != "" {
			return a.accounts.Read(token)
		}
		return accounts.Who{}, errNoToken
	case 1:
	default: // somebody before us may have believed the other one
		return accounts.Who{}, accounts.ErrToken
	}
	scheme, token, _ := strings.Cut(string(values[0]), " ")
	if !strings.EqualFold(scheme, "bearer") {
		return accounts.Who{}, &problem{code: unauthorized}
	}
	return a.accounts.Read(token)
}
