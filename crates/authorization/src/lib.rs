//! Role-based access control: which rules allow a request, and the stock roles.
