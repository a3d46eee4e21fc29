package repotest

import (
	"go/ast"
	"go/token"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode"
)

func TestEveryPackageSaysWhatItIsFor(t *testing.T) {
	docs := map[string]string{}
	eachGo(t, func(name string, _ *token.FileSet, f *ast.File) {
		if strings.HasSuffix(name, "_test.go") {
			return
		}
		dir := path.Dir(name)
		docs[dir] += f.Doc.Text()
	})
	for dir, doc := range docs {
		if lines := strings.Count(strings.TrimSpace(doc), "\n"); lines < 1 {
			t.Errorf("%s: the package comment has to say what the package is for and what to use first, in more than one line", dir)
		}
	}
}

func TestNoWorkBeforeMain(t *testing.T) {
	eachGo(t, func(name string, fset *token.FileSet, f *ast.File) {
		for _, d := range f.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.Name == "init" && !strings.HasSuffix(name, "_test.go") {
				t.Errorf("%s: init is paid at every start of the tool", fset.Position(fn.Pos()))
			}
		}
	})
}

func TestPackagesAreNamedForWhatTheyDo(t *testing.T) {
	for _, p := range packages(t) {
		for _, bad := range []string{"util", "utils", "common", "helpers", "helper", "misc", "shared"} {
			if slices.Contains(strings.Split(p.Path, "/"), bad) || p.Name == bad {
				t.Errorf("%s: %s says nothing", p.Path, bad)
			}
		}
	}
}

const (
	fileLimit     = 400
	functionLimit = 80
)

func TestFilesAndFunctionsAreShort(t *testing.T) {
	eachGo(t, func(name string, fset *token.FileSet, f *ast.File) {
		if lines := fset.File(f.Pos()).LineCount(); lines > fileLimit {
			t.Errorf("%s has %d lines; the limit is %d", name, lines, fileLimit)
		}
		if strings.HasSuffix(name, "_test.go") {
			return
		}
		for _, d := range f.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok || fn.Body == nil || len(fn.Body.List) == 1 {
				continue // a single statement is a table
			}
			if lines := fset.Position(fn.End()).Line - fset.Position(fn.Pos()).Line + 1; lines > functionLimit {
				t.Errorf("%s: %s has %d lines; the limit is %d", fset.Position(fn.Pos()), fn.Name.Name, lines, functionLimit)
			}
		}
	})
}

// Names that are written with a capital everywhere, and so may begin an error.
var proper = []string{"AppArmor", "Debian", "Dockerfile", "Linux", "Python", "PyTorch", "Release", "InRelease", "Packages", "Slurm", "Ubuntu"}

// Errors are put together with others and printed after "error: ": docs/messages.md.
func TestErrorsAreLowerCaseWithoutPeriod(t *testing.T) {
	eachGo(t, func(name string, fset *token.FileSet, f *ast.File) {
		if strings.HasSuffix(name, "_test.go") {
			return
		}
		ast.Inspect(f, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok || len(call.Args) == 0 || !makesError(call) {
				return true
			}
			lit, ok := call.Args[0].(*ast.BasicLit)
			if !ok {
				return true
			}
			s, err := strconv.Unquote(lit.Value)
			if err != nil || s == "" {
				return true
			}
			r := []rune(s)
			capital := len(r) > 1 && unicode.IsUpper(r[0]) && unicode.IsLower(r[1]) &&
				!slices.ContainsFunc(proper, func(p string) bool { return strings.HasPrefix(s, p) })
			if capital || strings.HasSuffix(s, ".") || strings.HasSuffix(s, "\n") || strings.HasPrefix(s, "failed to") {
				t.Errorf("%s: %q: lower case, no period, no \"failed to\"", fset.Position(lit.Pos()), s)
			}
			return true
		})
	})
}

func makesError(call *ast.CallExpr) bool {
	sel, ok := call.Fun.(*ast.SelectorExpr)
	if !ok {
		return false
	}
	x, ok := sel.X.(*ast.Ident)
	return ok && (x.Name == "errors" && sel.Sel.Name == "New" || x.Name == "fmt" && sel.Sel.Name == "Errorf")
}
