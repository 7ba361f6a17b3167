// This file is empty. A Go package can declare functions without a body only if it has an assembly file; see login.go.
