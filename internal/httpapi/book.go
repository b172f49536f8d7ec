package httpapi

import (
	"cmp"
	"fmt"
	"html/template"
	"slices"
	"strings"
)

// book is what the pages show: the document, in its own order, joined with the table
// of answers.
type book struct {
	Title, Summary, About string
	Parts                 []part
	Schemas               []schema
	Codes                 []explained
	Walks                 []walk
	Style                 template.CSS
}

// part is the operations of one tag.
type part struct {
	Name, About string
	Operations  []operation
}

type operation struct {
	ID, Method, Path, Summary, About, Who string
	Params                                []row
	Body                                  *row
	Examples                              []example
	Answers                               []answered
	Events                                []row
}

// row is a parameter, a field or a header.
type row struct {
	Name, In, Type, Link, About string // Type: in a few words; Link: the schema it is, if it has a name
	Must                        bool
}

type example struct{ Name, Text string }

// answered is what an operation may answer under one status.
type answered struct {
	Status, About, Media, Link string
	Codes                      []string
	Headers                    []row
	Examples                   []example
}

// schema is a form with a name.
type schema struct {
	Name, About, Type string
	OneOf             []string
	Rows              []row
}

// explained is a code: what it means, and what to do.
type explained struct {
	Code                         code
	Status                       int
	Title, Means, Remedy, Repeat string
	Of                           []string // operations that answer it; none: too many to tell
}

// newBook reads a document of our own.
func newBook(raw []byte) (*book, error) {
	doc, err := treeOf(raw)
	if err != nil {
		return nil, err
	}
	walks, err := docsFiles.ReadFile("docs/walks.md")
	if err != nil {
		return nil, err
	}
	info := doc.at("info")
	b := &book{Title: info.at("title").text, Summary: info.at("summary").text, About: info.at("description").text, Walks: walksOf(string(walks))}
	for _, tag := range doc.at("tags").list {
		p := part{Name: tag.at("name").text, About: tag.at("description").text}
		for _, path := range doc.at("paths").fields {
			for _, method := range path.fields {
				if method.at("tags").list[0].text == p.Name {
					p.Operations = append(p.Operations, doc.operation(path.name, method))
				}
			}
		}
		b.Parts = append(b.Parts, p)
	}
	for _, s := range doc.at("components", "schemas").fields {
		if doc.isPart(s.name) {
			continue
		}
		b.Schemas = append(b.Schemas, schema{
			Name: s.name, About: s.at("description").text, Type: form(s), Rows: doc.rows(s), OneOf: refs(s.at("oneOf")),
		})
	}
	b.Codes = doc.explained(b.Parts)
	return b, nil
}

func (doc *tree) operation(path string, o *tree) operation {
	made := operation{ID: o.at("operationId").text, Method: strings.ToUpper(o.name), Path: path, Summary: o.at("summary").text, About: o.at("description").text, Who: whose(o)}
	for _, p := range o.at("parameters").list {
		p = doc.follow(p)
		made.Params = append(made.Params, row{p.at("name").text, p.at("in").text, form(p.at("schema")), link(p.at("schema")), p.at("description").text, p.at("required").text == "true"})
	}
	if body := o.at("requestBody"); body.there() {
		content := body.at("content").fields[0]
		made.Body = &row{Type: content.name, Link: link(content.at("schema")), Must: body.at("required").text == "true"}
		made.Examples = doc.examples(content)
	}
	for _, r := range o.at("responses").fields {
		status := r.name
		r = doc.follow(r)
		a := answered{Status: status, About: r.at("description").text}
		for _, h := range r.at("headers").fields {
			name := h.name
			if h = doc.follow(h); name != "X-Request-ID" {
				a.Headers = append(a.Headers, row{Name: name, Type: form(h.at("schema")), About: h.at("description").text, Must: h.at("required").text == "true"})
			}
		}
		for _, content := range r.at("content").fields {
			if a.Media == "" { // the first is the one that is answered unless another is asked for
				a.Media, a.Link, a.Examples = content.name, link(content.at("schema")), doc.examples(content)
			}
			if rules := content.at("schema", "allOf"); rules.there() {
				for _, word := range rules.list[1].at("properties", "code", "enum").list {
					a.Codes = append(a.Codes, word.text)
				}
			}
		}
		made.Answers = append(made.Answers, a)
	}
	for _, event := range o.at("x-events").fields {
		made.Events = append(made.Events, row{Name: event.name, Link: link(event)})
	}
	return made
}

// whose says in words who may ask.
func whose(o *tree) string {
	var roles []string
	for _, role := range o.at("x-roles").list {
		roles = append(roles, role.text+"s")
	}
	security := o.at("security").list
	switch {
	case roles != nil:
		return strings.Join(roles, " and ")
	case len(security) == 1:
		return "who is signed in"
	}
	return "anybody"
}

func (doc *tree) examples(content *tree) (all []example) {
	if one := content.at("example"); one.there() {
		all = append(all, example{"Example", one.indented()})
	}
	for _, e := range content.at("examples").fields {
		e = doc.follow(e)
		all = append(all, example{e.at("summary").text, e.at("value").indented()})
	}
	return all
}

// rows are the fields of a schema, those of what it is made of first.
func (doc *tree) rows(s *tree) (all []row) {
	for _, of := range s.at("allOf").list {
		if of.at("$ref").there() {
			all = append(all, doc.rows(doc.follow(of))...)
		}
	}
	must := map[string]bool{}
	for _, name := range s.at("required").list {
		must[name.text] = true
	}
	for _, field := range s.at("properties").fields {
		if field.text == "false" {
			all = slices.DeleteFunc(all, func(r row) bool { return r.Name == field.name })
			continue
		}
		r := row{Name: field.name, Type: form(field), Link: link(field), About: field.at("description").text, Must: must[field.name]}
		if i := slices.IndexFunc(all, func(old row) bool { return old.Name == r.Name }); i >= 0 {
			all[i] = r
			continue
		}
		all = append(all, r)
	}
	for i, r := range all {
		all[i].Must = r.Must || must[r.Name]
	}
	return all
}

// isPart says whether a schema is there for others to be made of only.
func (doc *tree) isPart(name string) bool {
	for _, s := range doc.at("components", "schemas").fields {
		if slices.Contains(refs(s.at("allOf")), name) {
			return true
		}
	}
	return false
}

// explained joins the codes of the document with the table of answers. What nobody
// answers yet is left out.
func (doc *tree) explained(parts []part) (all []explained) {
	for _, one := range doc.at("components", "schemas", "Code", "oneOf").list {
		word := code(one.at("const").text)
		answer, known := answers[word]
		if !known {
			continue
		}
		e := explained{Code: word, Status: answer.status, Title: answer.title, Means: one.at("description").text, Remedy: one.at("x-remedy").text, Repeat: one.at("x-retry").text}
		for _, p := range parts {
			for _, o := range p.Operations {
				if slices.ContainsFunc(o.Answers, func(a answered) bool { return slices.Contains(a.Codes, string(word)) }) {
					e.Of = append(e.Of, o.ID)
				}
			}
		}
		if len(e.Of) > 12 {
			e.Of = nil
		}
		all = append(all, e)
	}
	slices.SortStableFunc(all, func(a, b explained) int { return a.Status - b.Status })
	return all
}

// form says in a few words what a value must look like.
func form(s *tree) string {
	var all []string
	for _, name := range []string{"const", "type"} {
		if is := s.at(name); is.there() {
			all = append(all, is.text)
			break
		}
	}
	least, most := s.at("minimum"), s.at("maximum")
	switch {
	case least.there() && most.there():
		all = append(all, most.bound(least.bound("")+" to "))
	case least.there():
		all = append(all, least.bound("at least "))
	}
	if items := s.at("items"); items.there() {
		all = append(all, "of "+cmp.Or(link(items), form(items)))
	}
	if enum := s.at("enum"); enum.there() {
		var values []string
		for _, value := range enum.list {
			values = append(values, value.text)
		}
		all = append(all, strings.Join(values, ", "))
	}
	for _, rule := range [][2]string{{"format", "%s"}, {"maxLength", "at most %s characters"}, {"maxItems", "at most %s"}, {"default", "unless given %s"}} {
		if is := s.at(rule[0]); is.there() && is.text != "int64" && is.text != "password" {
			all = append(all, fmt.Sprintf(rule[1], is.text))
		}
	}
	return strings.Join(all, " · ")
}

// bound is a number behind some words; the largest number of all by its name.
func (t *tree) bound(before string) string {
	if t.text == "9007199254740991" {
		return before + "2⁵³ − 1"
	}
	return before + t.text
}

// link is the name of the schema that s refers to, or "".
func link(s *tree) string {
	_, name, _ := strings.Cut(s.at("$ref").text, "/schemas/")
	return name
}

func refs(list *tree) (names []string) {
	for _, one := range list.list {
		if name := link(one); name != "" {
			names = append(names, name)
		}
	}
	return names
}
