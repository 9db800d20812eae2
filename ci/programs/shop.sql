create table item(name text primary key, quantity integer, price real);
insert into item values ('pen', 12, 1.5), ('ink', 3, 4.25), ('paper', 500, 0.02);
create index by_price on item(price);
select name, quantity * price as worth from item where price > 1 order by worth desc;
select count(*), group_concat(upper(name), '+') from item;
