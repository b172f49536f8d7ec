package web

import (
	"net/http"

	"sluice/client"
)

// door is the page of signing up and in.
type door struct {
	Next, Email string
	Seller      bool
	Wrong       string // what was wrong, a key of the words; "": nothing
	Detail      string
}

func (f *Front) signInForm(v *visit) error {
	v.render(http.StatusOK, "sign-in", v.say("signin.title"), door{Next: local(v.r.URL.Query().Get("next"), "/")})
	return nil
}

func (f *Front) signUpForm(v *visit) error {
	query := v.r.URL.Query()
	v.render(http.StatusOK, "sign-up", v.say("signup.title"), door{Next: local(query.Get("next"), "/"), Seller: query.Get("role") == "seller"})
	return nil
}

// signIn is POST /sign-in.
func (f *Front) signIn(v *visit) error {
	email := v.r.PostFormValue("email")
	t, err := f.api.With(client.WithTokens(client.Tokens{})).SignIn(v.ctx, email, v.r.PostFormValue("password"))
	return v.welcome("sign-in", "signin.title", t, err, door{Next: local(v.r.PostFormValue("next"), "/"), Email: email})
}

// signUp is POST /sign-up.
func (f *Front) signUp(v *visit) error {
	role := client.Buyer
	if v.r.PostFormValue("role") == string(client.Seller) {
		role = client.Seller
	}
	email := v.r.PostFormValue("email")
	t, err := f.api.With(client.WithTokens(client.Tokens{})).SignUp(v.ctx, email, v.r.PostFormValue("password"), role)
	return v.welcome("sign-up", "signup.title", t, err, door{Next: local(v.r.PostFormValue("next"), "/"), Email: email, Seller: role == client.Seller})
}

// welcome begins a session, or shows the form again with what was wrong.
func (v *visit) welcome(page, title string, t client.Tokens, err error, body door) error {
	if err == nil {
		v.remember(t)
		next := body.Next
		if next == "/" && t.Role == client.Seller {
			next = "/sell"
		} else if next == "/" && t.Role == client.Admin {
			next = "/operate"
		}
		return v.go303(next)
	}
	p := problemOf(err)
	if p == nil {
		return err
	}
	switch p.Code {
	case client.CodeBadCredentials, client.CodeEmailTaken, client.CodeThrottled, client.CodeInvalidFields:
	default:
		return err
	}
	body.Wrong = "code." + string(p.Code)
	for _, f := range p.Fields {
		body.Detail += f.Pointer[min(len(f.Pointer), 2):] + " " + f.Detail + ". "
	}
	v.render(p.Status, page, v.say(title), body)
	return nil
}

// signOut is POST /sign-out: the session ends, here and at the API.
func (f *Front) signOut(v *visit) error {
	if refresh := cookieOf(v.r, refreshCookie); refresh != "" {
		// Without an answer it ends by itself, in days; the browser forgets it now.
		_ = f.api.With(client.WithTokens(client.Tokens{Access: v.tokens.Access, Refresh: refresh})).SignOut(v.ctx)
	}
	v.forget()
	return v.go303("/")
}

// language is POST /language: the pages speak another one from now on.
func (f *Front) language(v *visit) error {
	to := v.r.PostFormValue("to")
	for _, known := range languages {
		if to == known {
			http.SetCookie(v.w, &http.Cookie{Name: languageName, Value: to, Path: "/", MaxAge: 365 * 24 * 3600, HttpOnly: true, SameSite: http.SameSiteLaxMode})
		}
	}
	return v.go303(local(v.r.PostFormValue("next"), "/"))
}
