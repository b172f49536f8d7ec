package httpapi

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"html/template"
	"strings"
	"sync"

	"github.com/gofiber/fiber/v2"

	"sluice/internal/accounts"
)

// openAPI is the document of the API, written by hand. The tests hold every request
// and every answer of theirs against it.
//
//go:embed openapi.json
var openAPI []byte

// docsFiles are what the pages are made with: templates, their style, the walks.
//
//go:embed docs
var docsFiles embed.FS

const (
	openAPIPath = "/v1/openapi.json"
	docsPath    = "/docs"
	errorsPath  = docsPath + "/errors"
)

// sheet is something that is the same for everybody until another version of us runs.
type sheet struct {
	media, policy, tag string // the opaque part of its ETag
	text               []byte
}

func newSheet(media, policy string, text []byte) sheet {
	sum := sha256.Sum256(text)
	return sheet{media: media, policy: policy, tag: base64.RawURLEncoding.EncodeToString(sum[:12]), text: text}
}

// sheets are those that there are, by path. They are made when somebody asks for one
// of them, once.
var sheets = sync.OnceValues(func() (map[string]sheet, error) {
	style, err := docsFiles.ReadFile("docs/style.css")
	if err != nil {
		return nil, err
	}
	book, err := newBook(openAPI)
	if err != nil {
		return nil, err
	}
	book.Style = template.CSS(style)
	pages, err := template.New("").Funcs(template.FuncMap{"prose": prose}).ParseFS(docsFiles, "docs/*.html")
	if err != nil {
		return nil, err
	}
	// Nothing may be loaded, and of what stands in the page only its style is obeyed.
	sum := sha256.Sum256(style)
	policy := "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
	all := map[string]sheet{openAPIPath: newSheet(fiber.MIMEApplicationJSON, "", openAPI)}
	for path, name := range map[string]string{docsPath: "docs.html", errorsPath: "errors.html"} {
		var text bytes.Buffer
		if err := pages.ExecuteTemplate(&text, name, book); err != nil {
			return nil, err
		}
		all[path] = newSheet(fiber.MIMETextHTMLCharsetUTF8, policy, text.Bytes())
	}
	return all, nil
})

// showSheet is GET /v1/openapi.json, /docs and /docs/errors.
func (a *API) showSheet(_ context.Context, c *fiber.Ctx, _ accounts.Who) error {
	all, err := sheets()
	if err != nil {
		return err
	}
	sheet := all[c.Route().Path]
	c.Set(fiber.HeaderCacheControl, "public, max-age=300")
	c.Set(fiber.HeaderETag, `"`+sheet.tag+`"`)
	if strings.TrimSpace(c.Get(fiber.HeaderIfNoneMatch)) == "*" || knownTags(c).name(sheet.tag) {
		return c.SendStatus(fiber.StatusNotModified)
	}
	if sheet.policy != "" {
		c.Set(fiber.HeaderContentSecurityPolicy, sheet.policy)
	}
	c.Set(fiber.HeaderContentType, sheet.media)
	return c.Send(sheet.text)
}

// prose is a text of the document as HTML: paragraphs, and `words` of code. It is the
// little of Markdown that the document allows itself.
func prose(text string) template.HTML {
	var b strings.Builder
	for paragraph := range strings.SplitSeq(text, "\n\n") {
		b.WriteString("<p>")
		for i, part := range strings.Split(paragraph, "`") {
			part = template.HTMLEscapeString(part)
			if i%2 == 1 {
				part = "<code>" + part + "</code>"
			}
			b.WriteString(part)
		}
		b.WriteString("</p>")
	}
	return template.HTML(b.String())
}

// walk is something to be pasted into a shell.
type walk struct{ Title, Text, Shell string }

// walksOf reads walks.md: a heading, a text and a block of shell each.
func walksOf(text string) (all []walk) {
	for part := range strings.SplitSeq(text, "\n## ") {
		title, rest, _ := strings.Cut(part, "\n")
		says, rest, is := strings.Cut(rest, "```sh\n")
		shell, _, _ := strings.Cut(rest, "```")
		if is {
			all = append(all, walk{title, strings.TrimSpace(says), cmp.Or(shell, "\n")})
		}
	}
	return all
}
