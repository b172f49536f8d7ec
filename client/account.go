package client

import (
	"context"
	"net/http"
	"time"
)

// Profile is an account as its owner sees it.
type Profile struct {
	Account   int64     `json:"account"`
	Role      Role      `json:"role"`
	Email     string    `json:"email"`
	Notices   bool      `json:"notices"` // whether it is told what becomes of its requests
	CreatedAt time.Time `json:"created_at"`
}

type credentials struct {
	Email    string `json:"email"`
	Password string `json:"password"`
	Role     Role   `json:"role,omitempty"`
}

// SignUp makes an account, as [Buyer] or [Seller], and signs in. A password has 8
// to 72 bytes. [CodeEmailTaken] when there is one with this e-mail.
//
// Had an attempt made the account and its answer been lost, the next one would
// find the e-mail taken. Then SignUp signs in, which only works with this password.
func (c *Client) SignUp(ctx context.Context, email, password string, role Role) (Tokens, error) {
	var t Tokens
	k := &call{method: http.MethodPost, path: "/v1/auth/signup", public: true, body: credentials{email, password, role}, into: &t}
	err := c.do(ctx, k)
	if CodeOf(err) == CodeEmailTaken && k.unsure {
		if found, signIn := c.signIn(ctx, email, password); signIn == nil && found.Role == role {
			t, err = found, nil
		}
	}
	if err != nil {
		return Tokens{}, err
	}
	c.begin(t)
	return t, nil
}

// SignIn makes c speak for the account of an e-mail. [CodeBadCredentials] when
// that or the password is wrong; [CodeThrottled] after too many attempts.
func (c *Client) SignIn(ctx context.Context, email, password string) (Tokens, error) {
	t, err := c.signIn(ctx, email, password)
	if err != nil {
		return Tokens{}, err
	}
	c.begin(t)
	return t, nil
}

func (c *Client) signIn(ctx context.Context, email, password string) (t Tokens, err error) {
	err = c.do(ctx, &call{method: http.MethodPost, path: "/v1/auth/signin", public: true,
		body: credentials{Email: email, Password: password}, into: &t})
	return t, err
}

// SignOut ends the session, here and at the API; c speaks for nobody then. After an
// error c still has its tokens, and SignOut may be called again.
func (c *Client) SignOut(ctx context.Context) error {
	refresh, err := c.session.settle(ctx)
	if err != nil {
		return err
	}
	if refresh != "" {
		if err := c.do(ctx, &call{method: http.MethodPost, path: "/v1/auth/signout", public: true, body: refreshBody{refresh}}); err != nil {
			return err
		}
	}
	c.begin(Tokens{})
	return nil
}

const mePath = "/v1/me"

// Me answers the account that c speaks for.
func (c *Client) Me(ctx context.Context) (p Profile, err error) {
	err = c.do(ctx, &call{method: http.MethodGet, path: mePath, into: &p})
	return p, err
}

type changes struct {
	Current  string `json:"current_password,omitempty"`
	Password string `json:"password,omitempty"`
	Email    string `json:"email,omitempty"`
	Notices  *bool  `json:"notices,omitempty"`
}

// ChangePassword replaces the password and ends all other sessions of the account.
// [CodeBadCredentials] when current is not the password there is.
func (c *Client) ChangePassword(ctx context.Context, current, next string) (Profile, error) {
	k := &call{body: changes{Current: current, Password: next}}
	p, err := c.changeMe(ctx, k)
	if CodeOf(err) == CodeBadCredentials && k.unsure {
		// An earlier attempt may have changed it already. If so, this changes nothing.
		return c.changeMe(ctx, &call{body: changes{Current: next, Password: next}})
	}
	return p, err
}

// ChangeEmail replaces the e-mail. [CodeEmailTaken] when another account has it.
func (c *Client) ChangeEmail(ctx context.Context, currentPassword, email string) (Profile, error) {
	return c.changeMe(ctx, &call{body: changes{Current: currentPassword, Email: email}})
}

// SwitchNotices says whether the account wants to be told what becomes of its
// requests. It does until it is switched off; what it was told stays.
func (c *Client) SwitchNotices(ctx context.Context, on bool) (Profile, error) {
	return c.changeMe(ctx, &call{body: changes{Notices: &on}})
}

func (c *Client) changeMe(ctx context.Context, k *call) (p Profile, err error) {
	k.method, k.path, k.into = http.MethodPatch, mePath, &p
	err = c.do(ctx, k)
	return p, err
}

// DeleteAccount deletes the account for ever; what it bought and sold stays on
// record, and its points are lost; its stores are closed. [CodeAccountBusy] while a sale of it is not paid
// out. When an attempt's answer is lost, the next may not find the account any more:
// [CodeSessionEnded], or [CodeTokenInvalid] where there is no refresh token.
func (c *Client) DeleteAccount(ctx context.Context, currentPassword string) error {
	if err := c.do(ctx, &call{method: http.MethodDelete, path: mePath, body: changes{Current: currentPassword}}); err != nil {
		return err
	}
	c.begin(Tokens{})
	return nil
}
