// This file is empty. The compiler takes functions without a body only in packages with assembly; see login.go.
